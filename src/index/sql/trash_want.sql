UPDATE trash SET wanted = 1, not_before = NULL WHERE place = ?1
