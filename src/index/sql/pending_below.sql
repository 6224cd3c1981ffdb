-- How much is pending strictly between two keys, up to a bound.
SELECT count(*) FROM (SELECT 1 FROM entry INDEXED BY entry_pending WHERE pending AND path > ?1 AND path < ?2 LIMIT ?3)
