UPDATE trash SET version = 1 WHERE place = ?1
