UPDATE trash SET wanted = wanted AND ?2, not_before = ?3 WHERE place = ?1
