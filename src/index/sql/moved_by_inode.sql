-- How many vanished files went elsewhere, told by inode, size and time: one appeared file accounts for one vanished file.
SELECT coalesce(sum(min(lost.n, (
    SELECT count(*) FROM entry AS a INDEXED BY entry_arrived_inode
    WHERE a.since IS NOT NULL AND a.o_kind = 'file' AND a.o_inode = lost.r_inode AND a.o_size = lost.r_size AND a.o_mtime = lost.r_mtime
))), 0)
FROM (
    SELECT r_inode, r_size, r_mtime, count(*) AS n FROM entry INDEXED BY entry_vanished_inode
    WHERE o_kind IS NULL AND r_kind = 'file' AND r_inode <> 0
    GROUP BY r_inode, r_size, r_mtime
) AS lost
