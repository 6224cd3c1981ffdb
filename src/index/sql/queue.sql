-- The first pending rows that nothing keeps.
SELECT * FROM entry INDEXED BY entry_pending WHERE pending AND problem IS NULL AND path > ?1 ORDER BY path LIMIT ?2
