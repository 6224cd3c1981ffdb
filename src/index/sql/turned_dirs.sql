-- Names at which another directory is than the one that is recorded there, and where that is recorded; outermost first.
SELECT here.path, there.path
FROM entry AS here INDEXED BY entry_left_dir
JOIN entry AS there INDEXED BY entry_left_dir
    ON there.since IS NOT NULL AND there.r_kind = 'dir' AND there.r_inode = here.o_inode
WHERE here.since IS NOT NULL AND here.r_kind = 'dir' AND here.o_kind = 'dir' AND here.o_inode <> 0 AND here.o_inode <> here.r_inode
    AND (here.problem IS NULL OR here.not_before IS NOT NULL) AND here.attempts < 3 AND there.o_kind = 'dir'
ORDER BY here.path, there.path
LIMIT ?1
