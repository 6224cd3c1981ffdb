SELECT * FROM entry INDEXED BY entry_pending WHERE pending AND path > ?1 ORDER BY path LIMIT ?2
