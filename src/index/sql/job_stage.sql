UPDATE job SET step = 0, in_doubt = 0, size = ?2, mtime = ?3, ctime = ?4, inode = ?5, digest = ?6 WHERE id = ?1
