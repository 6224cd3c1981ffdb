-- What large files on the server hold, chunk by chunk: of a changed one only what is new is sent. By the digest of the whole (blake3), so
-- that it stays known when the file is moved; `chunks` has 16 bytes of the digest of each.
CREATE TABLE chunks (
    digest BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    chunks BLOB NOT NULL
) STRICT;

-- How large the file is of which so many bytes were sent.
ALTER TABLE history ADD COLUMN size INTEGER;
