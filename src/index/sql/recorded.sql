-- A page of what the server is known to hold, behind a key.
SELECT * FROM entry WHERE path > ?1 AND r_kind IS NOT NULL ORDER BY path LIMIT ?2
