-- What nothing was known of: it is pending at once. Of the row of values the program makes as many as it has, as the table and its
-- ten indexes are opened once for each statement. A statement of many rows that may fail alone (ABORT) keeps a copy of each page it
-- changes, in a temporary file: a first scan wrote three times as much. Who adds rows gives up the transaction when one fails anyway.
INSERT OR ROLLBACK INTO entry (path, o_kind, o_size, o_mtime, o_ctime, o_inode, o_digest, o_mode, since, fold) VALUES
(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
