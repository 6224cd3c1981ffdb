UPDATE job SET temp = ?2 WHERE id = ?1
