-- Rows that wait for a time between two.
SELECT count(*) FROM entry INDEXED BY entry_retry WHERE not_before > ?1 AND not_before <= ?2
