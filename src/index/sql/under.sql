-- A page of what was observed between two keys, the first included.
SELECT * FROM entry WHERE path >= ?1 AND path < ?2 AND o_kind IS NOT NULL ORDER BY path LIMIT ?3
