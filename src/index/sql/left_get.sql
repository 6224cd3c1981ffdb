SELECT kind, size, mtime FROM left_there WHERE path = ?1
