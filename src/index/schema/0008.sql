-- Where the server has content already: files of 64 KiB or more by size and digest. A smaller one costs as much to copy as to send.
CREATE INDEX entry_content ON entry (r_size, r_digest) WHERE r_kind = 'file' AND r_size >= 65536;

-- Of a file in the trash, what it holds (blake3): the same content that comes back is taken from there.
ALTER TABLE trash ADD COLUMN digest BLOB;
CREATE INDEX trash_content ON trash (size, digest) WHERE digest IS NOT NULL;
