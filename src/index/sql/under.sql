-- A page of what was observed between two keys, the first included.
SELECT path, o_kind, o_size, o_mtime, o_ctime, o_inode, o_digest, o_mode FROM entry
WHERE path >= ?1 AND path < ?2 AND o_kind IS NOT NULL ORDER BY path LIMIT ?3
