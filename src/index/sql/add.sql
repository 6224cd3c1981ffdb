-- What nothing was known of: it is pending at once. Of the row of values the program makes as many as it has, as the table and its
-- ten indexes are opened once for each statement.
INSERT INTO entry (path, o_kind, o_size, o_mtime, o_ctime, o_inode, o_digest, o_mode, since, fold) VALUES
(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
