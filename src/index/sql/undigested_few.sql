-- The same for when less appeared than vanished: it does not walk through all that vanished.
SELECT a.* FROM entry AS a INDEXED BY entry_arrived_inode
WHERE a.since IS NOT NULL AND a.o_kind = 'file' AND a.o_size <> 0 AND a.o_digest IS NULL AND a.problem IS NULL
    AND EXISTS (
        SELECT 1 FROM entry AS v INDEXED BY entry_vanished_content
        WHERE v.o_kind IS NULL AND v.r_kind = 'file' AND v.r_size = a.o_size AND v.r_digest IS NOT NULL
    )
    AND NOT EXISTS (
        SELECT 1 FROM entry AS v INDEXED BY entry_vanished_inode
        WHERE v.o_kind IS NULL AND v.r_kind = 'file'
            AND v.r_inode = a.o_inode AND v.r_size = a.o_size AND v.r_mtime = a.o_mtime AND v.r_inode <> 0
    )
LIMIT ?1
