-- A page of the rows of which nothing is here any more, after a key.
SELECT * FROM entry INDEXED BY entry_vanished WHERE o_kind IS NULL AND path > ?1 ORDER BY path LIMIT ?2
