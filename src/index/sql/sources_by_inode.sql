-- Vanished files that a file of this inode, size and time of modification may have been.
SELECT * FROM entry INDEXED BY entry_vanished_inode
WHERE o_kind IS NULL AND r_kind = 'file' AND r_inode = ?1 AND r_size = ?2 AND r_mtime = ?3
ORDER BY path LIMIT ?4
