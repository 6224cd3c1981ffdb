SELECT path FROM left_there WHERE path > ?1 ORDER BY path LIMIT ?2
