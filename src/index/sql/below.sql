-- A page of what lies strictly between two keys.
SELECT * FROM entry WHERE path > ?1 AND path < ?2 ORDER BY path LIMIT ?3
