SELECT size, mtime FROM trash WHERE place = ?1
