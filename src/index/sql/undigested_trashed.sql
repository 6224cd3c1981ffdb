-- Appeared files that nobody has read and that have the size of a file in the trash.
SELECT a.* FROM entry AS a INDEXED BY entry_arrived_inode
WHERE a.since IS NOT NULL AND a.o_kind = 'file' AND a.o_size > 0 AND a.o_digest IS NULL AND a.problem IS NULL AND a.r_size IS NOT a.o_size
    AND EXISTS (
        SELECT 1 FROM trash INDEXED BY trash_content WHERE trash.size = a.o_size AND trash.digest IS NOT NULL AND trash.kind = 'file'
    )
LIMIT ?1
