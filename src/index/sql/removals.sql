SELECT * FROM entry INDEXED BY entry_vanished WHERE o_kind IS NULL AND path < ?1 ORDER BY path DESC LIMIT ?2
