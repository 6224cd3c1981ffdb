INSERT INTO job (verb, path, source, size, mtime, ctime, inode, digest, equal_to, begun, mode, retime)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
