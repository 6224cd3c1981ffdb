-- A page of the recorded files after a key whose ctime lies behind a moment.
SELECT * FROM entry WHERE path > ?1 AND r_kind = 'file' AND r_ctime > ?2 ORDER BY path LIMIT ?3
