UPDATE job SET forgotten = 1 WHERE id = ?1
