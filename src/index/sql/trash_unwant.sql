UPDATE trash SET wanted = 0 WHERE path = ?1 AND wanted
