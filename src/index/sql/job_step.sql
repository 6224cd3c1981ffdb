UPDATE job SET step = ?2, in_doubt = 0 WHERE id = ?1
