-- The newest ctime of a recorded file that is not behind a moment.
SELECT max(r_ctime) FROM entry WHERE r_kind = 'file' AND r_ctime <= ?1
