DELETE FROM trash WHERE place = ?1
