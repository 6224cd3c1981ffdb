UPDATE job SET in_doubt = 1, step = NULL WHERE id = ?1
