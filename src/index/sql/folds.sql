-- A page of the folded keys that differ from the key of some row.
SELECT DISTINCT fold FROM entry INDEXED BY entry_fold WHERE fold > ?1 ORDER BY fold LIMIT ?2
