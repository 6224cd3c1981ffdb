-- Whether a new directory of this inode is strictly between two keys.
SELECT 1 FROM entry INDEXED BY entry_arrived_dir
WHERE since IS NOT NULL AND o_kind = 'dir' AND r_kind IS NULL AND o_inode = ?1 AND path > ?2 AND path < ?3
