INSERT INTO entry (path, o_kind, o_size, o_mtime, o_ctime, o_inode, o_digest, o_mode,
    r_kind, r_size, r_mtime, r_ctime, r_inode, r_digest, r_mode, since, attempts, not_before, problem, fold)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
ON CONFLICT (path) DO UPDATE SET
    o_kind = excluded.o_kind, o_size = excluded.o_size, o_mtime = excluded.o_mtime,
    o_ctime = excluded.o_ctime, o_inode = excluded.o_inode, o_digest = excluded.o_digest, o_mode = excluded.o_mode,
    r_kind = excluded.r_kind, r_size = excluded.r_size, r_mtime = excluded.r_mtime,
    r_ctime = excluded.r_ctime, r_inode = excluded.r_inode, r_digest = excluded.r_digest, r_mode = excluded.r_mode,
    since = excluded.since, attempts = excluded.attempts, not_before = excluded.not_before, problem = excluded.problem,
    fold = excluded.fold
