-- A row with a problem strictly between two keys: the first of those that wait, else the first that is parked.
SELECT * FROM entry INDEXED BY entry_problem WHERE problem IS NOT NULL AND path > ?1 AND path < ?2
ORDER BY not_before IS NULL, path LIMIT 1
