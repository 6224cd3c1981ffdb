-- Where a directory of this inode is recorded and not seen any more.
SELECT * FROM entry INDEXED BY entry_left_dir WHERE since IS NOT NULL AND r_kind = 'dir' AND r_inode = ?1 ORDER BY path LIMIT 1
