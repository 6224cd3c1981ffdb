-- Whether there is a row from one key to another, both included.
SELECT EXISTS (SELECT 1 FROM entry WHERE path >= ?1 AND path <= ?2)
