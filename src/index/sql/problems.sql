-- A page of the rows with a problem after a key.
SELECT * FROM entry INDEXED BY entry_problem WHERE problem IS NOT NULL AND path > ?1 ORDER BY path LIMIT ?2
