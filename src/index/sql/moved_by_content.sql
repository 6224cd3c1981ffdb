-- How many vanished files went elsewhere, told by digest, among those on both sides that the inode did not tell of.
SELECT coalesce(sum(min(came.n, (
    SELECT count(*) FROM entry AS v INDEXED BY entry_vanished_content
    WHERE v.o_kind IS NULL AND v.r_kind = 'file' AND v.r_size = came.o_size AND v.r_digest = came.o_digest
        AND NOT EXISTS (
            SELECT 1 FROM entry AS b INDEXED BY entry_arrived_inode
            WHERE b.since IS NOT NULL AND b.o_kind = 'file'
                AND b.o_inode = v.r_inode AND b.o_size = v.r_size AND b.o_mtime = v.r_mtime AND b.o_inode <> 0
        )
))), 0)
FROM (
    SELECT a.o_size, a.o_digest, count(*) AS n FROM entry AS a INDEXED BY entry_arrived_content
    WHERE a.since IS NOT NULL AND a.o_kind = 'file' AND a.o_digest IS NOT NULL
        AND NOT EXISTS (
            SELECT 1 FROM entry AS w INDEXED BY entry_vanished_inode
            WHERE w.o_kind IS NULL AND w.r_kind = 'file'
                AND w.r_inode = a.o_inode AND w.r_size = a.o_size AND w.r_mtime = a.o_mtime AND w.r_inode <> 0
        )
    GROUP BY a.o_size, a.o_digest
) AS came
