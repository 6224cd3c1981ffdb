SELECT EXISTS (SELECT 1 FROM left_there WHERE path >= ?1 AND path < ?2)
