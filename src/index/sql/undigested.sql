-- Appeared files that nobody has read, that have the size of a vanished file with a known digest, and that no vanished
-- file matches by inode. The inner select needs nothing but its index.
SELECT entry.* FROM (
    SELECT a.path FROM entry AS a INDEXED BY entry_arrived_inode
    WHERE a.since IS NOT NULL AND a.o_kind = 'file' AND a.o_size <> 0
        AND a.o_size IN (
            SELECT r_size FROM entry INDEXED BY entry_vanished_content
            WHERE o_kind IS NULL AND r_kind = 'file' AND r_digest IS NOT NULL
        )
        AND NOT EXISTS (
            SELECT 1 FROM entry AS v INDEXED BY entry_vanished_inode
            WHERE v.o_kind IS NULL AND v.r_kind = 'file'
                AND v.r_inode = a.o_inode AND v.r_size = a.o_size AND v.r_mtime = a.o_mtime AND v.r_inode <> 0
        )
) AS candidate
CROSS JOIN entry ON entry.path = candidate.path
WHERE entry.o_digest IS NULL AND entry.problem IS NULL
LIMIT ?1
