-- Renamed directories.

-- Directories that are here and not on the server, and those that were put on the server and are not here, or not these: where one
-- of the first may have come from. Both are few at any time.
CREATE INDEX entry_arrived_dir ON entry (o_inode) WHERE since IS NOT NULL AND o_kind = 'dir' AND r_kind IS NULL;
CREATE INDEX entry_left_dir ON entry (r_inode) WHERE since IS NOT NULL AND r_kind = 'dir';
-- Under which names a directory was seen; it has one at a time.
CREATE INDEX entry_seen_dir ON entry (o_inode) WHERE o_kind = 'dir';
