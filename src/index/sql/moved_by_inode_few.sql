-- The same for when less appeared than vanished: counted from the appeared files.
SELECT coalesce(sum(min(came.n, (
    SELECT count(*) FROM entry AS v INDEXED BY entry_vanished_inode
    WHERE v.o_kind IS NULL AND v.r_kind = 'file' AND v.r_inode = came.o_inode AND v.r_size = came.o_size AND v.r_mtime = came.o_mtime
))), 0)
FROM (
    SELECT o_inode, o_size, o_mtime, count(*) AS n FROM entry INDEXED BY entry_arrived_inode
    WHERE since IS NOT NULL AND o_kind = 'file' AND o_inode <> 0
    GROUP BY o_inode, o_size, o_mtime
) AS came
