-- Whether a new or changed file of this inode, size and time of modification is strictly between two keys.
SELECT 1 FROM entry INDEXED BY entry_arrived_inode
WHERE since IS NOT NULL AND o_kind = 'file' AND o_inode = ?1 AND o_size = ?2 AND o_mtime = ?3 AND path > ?4 AND path < ?5
