-- A page of keys.
SELECT path FROM entry WHERE path > ?1 ORDER BY path LIMIT ?2
