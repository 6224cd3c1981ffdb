UPDATE job SET in_doubt = 1 WHERE id = ?1
