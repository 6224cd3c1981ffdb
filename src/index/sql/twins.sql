-- The rows whose folded key this is.
SELECT * FROM entry WHERE path = ?1 AND fold IS NULL
UNION ALL
SELECT * FROM entry INDEXED BY entry_fold WHERE fold = ?1
