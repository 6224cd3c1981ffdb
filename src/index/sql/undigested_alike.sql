-- Appeared files that nobody has read and that have the size of a file on the server, or of another one that appeared. Reading them may
-- save sending them.
SELECT a.* FROM entry AS a INDEXED BY entry_arrived_inode
WHERE a.since IS NOT NULL AND a.o_kind = 'file' AND a.o_size BETWEEN 65536 AND ?2 AND a.o_digest IS NULL AND a.problem IS NULL
    AND a.r_size IS NOT a.o_size
    AND (
        EXISTS (
            SELECT 1 FROM entry AS r INDEXED BY entry_content
            WHERE r.r_kind = 'file' AND r.r_size >= 65536 AND r.r_size = a.o_size AND r.r_digest IS NOT NULL
        )
        OR a.o_size IN (
            SELECT o_size FROM entry INDEXED BY entry_arrived_inode
            WHERE since IS NOT NULL AND o_kind = 'file' AND o_size BETWEEN 65536 AND ?2
            GROUP BY o_size HAVING count(*) > 1
        )
    )
LIMIT ?1
