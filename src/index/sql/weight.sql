-- How many files and links are recorded at and below a key, and their bytes.
SELECT count(*), coalesce(sum(r_size) FILTER (WHERE r_kind = 'file'), 0) FROM entry WHERE path >= ?1 AND path < ?2 AND r_kind <> 'dir'
