-- Whether anything is promised for a path.
SELECT EXISTS (SELECT 1 FROM job WHERE path = ?1 OR source = ?1 OR temp = ?1)
