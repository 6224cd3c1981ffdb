-- Appeared files that nobody has read and that are worth to be copied on the server, and not too large.
SELECT * FROM entry INDEXED BY entry_arrived_inode
WHERE since IS NOT NULL AND o_kind = 'file' AND o_size BETWEEN 65536 AND ?1 AND o_digest IS NULL AND problem IS NULL
    AND r_size IS NOT o_size
LIMIT ?2
