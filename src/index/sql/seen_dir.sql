-- Another name under which a directory of this inode was seen.
SELECT path FROM entry INDEXED BY entry_seen_dir WHERE o_kind = 'dir' AND o_inode = ?1 AND path <> ?2 LIMIT 1
