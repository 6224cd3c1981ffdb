UPDATE job SET ring = ?2 WHERE id = ?1
