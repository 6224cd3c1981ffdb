-- New directories that nothing keeps from being made, and what of their inodes is recorded elsewhere; outermost first. One whose renaming
-- was cut off is among them, but not for ever.
SELECT arrived.path, gone.path
FROM entry AS arrived INDEXED BY entry_arrived_dir
JOIN entry AS gone INDEXED BY entry_left_dir
    ON gone.since IS NOT NULL AND gone.r_kind = 'dir' AND gone.r_inode = arrived.o_inode
WHERE arrived.since IS NOT NULL AND arrived.o_kind = 'dir' AND arrived.r_kind IS NULL AND arrived.o_inode <> 0
    AND (arrived.problem IS NULL OR arrived.not_before IS NOT NULL) AND arrived.attempts < 3 AND gone.problem IS NULL
ORDER BY arrived.path, gone.path
LIMIT ?1
