-- Permissions, symbolic links, folded keys. Both tables are made anew, as SQLite changes neither a CHECK nor a generated
-- column.
ALTER TABLE entry RENAME TO entry_1;
-- One row is one path below the mirror's root, with what a scan last saw there (o_) and what the server is known to
-- hold (r_). A row with neither side does not exist.
CREATE TABLE entry (
    -- Where: the components joined by NUL, so that byte order is depth-first preorder.
    path BLOB NOT NULL PRIMARY KEY,
    -- Observed, written by scans alone. All NULL (digest apart): nothing is there. For a directory size, mtime and
    -- ctime are 0, for a link the inode too. Times are nanoseconds since the epoch; size and inode are unsigned 64-bit
    -- numbers, stored as the signed numbers of the same bits; the digest (blake3) is NULL until somebody read the file,
    -- and of a link the digest of its target. The mode has permission bits alone, and is NULL where they do not count.
    o_kind TEXT CHECK (o_kind IN ('file', 'dir', 'link')),
    o_size INTEGER,
    o_mtime INTEGER,
    o_ctime INTEGER,
    o_inode INTEGER,
    o_digest BLOB,
    o_mode INTEGER,
    -- Recorded, written by settled jobs and by what the server itself told; the local file's state when it was sent.
    r_kind TEXT CHECK (r_kind IN ('file', 'dir', 'link')),
    r_size INTEGER,
    r_mtime INTEGER,
    r_ctime INTEGER,
    r_inode INTEGER,
    r_digest BLOB,
    -- The mode that was last asked for.
    r_mode INTEGER,
    -- Of every pending row, and no other: since when it is pending (wall clock, milliseconds).
    since INTEGER,
    -- Of a pending row that failed: how often, when it may be tried again (NULL with a problem: parked), and why (JSON).
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER,
    problem TEXT,
    -- The key as a server that folds case may see it, where that is another one (NULL with a lower-case path, so that
    -- most rows cost nothing). A column and not an index on an expression: SQLite folds ASCII alone, and a function of
    -- this program in the schema would bar every other from the file.
    fold BLOB,
    -- Whether the two sides differ; digests of files do not count, nor modes where none is observed. The one definition.
    pending INTEGER NOT NULL GENERATED ALWAYS AS (
        (o_kind, o_size, o_mtime, o_ctime, o_inode, CASE o_kind WHEN 'link' THEN o_digest END, coalesce(o_mode, r_mode))
        IS NOT (r_kind, r_size, r_mtime, r_ctime, r_inode, CASE r_kind WHEN 'link' THEN r_digest END, r_mode)
    ) VIRTUAL,
    CHECK (o_kind IS NOT NULL OR r_kind IS NOT NULL),
    CHECK (pending = (since IS NOT NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO entry (path, o_kind, o_size, o_mtime, o_ctime, o_inode, o_digest,
    r_kind, r_size, r_mtime, r_ctime, r_inode, r_digest, since, attempts, not_before, problem)
SELECT path, o_kind, o_size, o_mtime, o_ctime, o_inode, o_digest,
    r_kind, r_size, r_mtime, r_ctime, r_inode, r_digest, since, attempts, not_before, problem
FROM entry_1;
DROP TABLE entry_1;

-- The queue: what is to be done, in preorder.
CREATE INDEX entry_pending ON entry (path) WHERE pending;
-- What is to be removed from the server, in preorder; what is not there but recorded is pending by itself.
CREATE INDEX entry_vanished ON entry (path) WHERE o_kind IS NULL;
-- Where an appeared file may have come from, and where a vanished one may have gone; the last columns make counting a
-- matter of the index alone. Appeared files have no index by size: in the order of their paths sizes are random, and that
-- index tripled the time to note a first scan.
CREATE INDEX entry_vanished_inode ON entry (r_inode, r_size, r_mtime, o_kind, r_kind) WHERE o_kind IS NULL AND r_kind = 'file';
CREATE INDEX entry_vanished_content ON entry (r_size, r_digest, o_kind, r_kind) WHERE o_kind IS NULL AND r_kind = 'file';
CREATE INDEX entry_arrived_inode ON entry (o_inode, o_size, o_mtime, o_kind, since) WHERE since IS NOT NULL AND o_kind = 'file';
CREATE INDEX entry_arrived_content ON entry (o_size, o_digest, o_kind, since)
    WHERE since IS NOT NULL AND o_kind = 'file' AND o_digest IS NOT NULL;
-- What `status` asks for.
CREATE INDEX entry_since ON entry (since) WHERE since IS NOT NULL;
CREATE INDEX entry_retry ON entry (not_before) WHERE not_before IS NOT NULL;
CREATE INDEX entry_problem ON entry (path) WHERE problem IS NOT NULL;
-- Which other paths a server that folds case may take for this one.
CREATE INDEX entry_fold ON entry (fold) WHERE fold IS NOT NULL;

ALTER TABLE job RENAME TO job_1;
-- One row is one operation that was promised to the server and is not settled yet (write-ahead).
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- What is to be done, where, a rename's former name, and the temporary name; paths as in `entry`.
    verb TEXT NOT NULL CHECK (verb IN ('make-dir', 'put', 'link', 'set-mode', 'remove-file', 'remove-dir', 'rename')),
    path BLOB NOT NULL,
    source BLOB,
    temp BLOB,
    -- The local file or directory that it was planned for, as in `entry`.
    size INTEGER,
    mtime INTEGER,
    ctime INTEGER,
    inode INTEGER,
    digest BLOB,
    -- The content that the server holds under this name, if it may turn out that nothing needs to be sent.
    equal_to BLOB,
    -- When it was promised (wall clock, milliseconds).
    begun INTEGER NOT NULL,
    -- 1: nobody knows what became of it, the server has to be asked.
    in_doubt INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt IN (0, 1)),
    -- 1: a rule ignores the path since; what becomes of the job must not bring its row back.
    forgotten INTEGER NOT NULL DEFAULT 0 CHECK (forgotten IN (0, 1)),
    -- The permissions that it is to have; and whether a rename sets the time, too.
    mode INTEGER,
    retime INTEGER NOT NULL DEFAULT 0 CHECK (retime IN (0, 1))
) STRICT;
INSERT INTO job (id, verb, path, source, temp, size, mtime, ctime, inode, digest, equal_to, begun, in_doubt, forgotten)
SELECT id, verb, path, source, temp, size, mtime, ctime, inode, digest, equal_to, begun, in_doubt, forgotten FROM job_1;
-- No number is used twice: it is in the name of a temporary file.
DELETE FROM sqlite_sequence WHERE name = 'job';
UPDATE sqlite_sequence SET name = 'job' WHERE name = 'job_1';
DROP TABLE job_1;

-- The folded keys of the rows that are there already are filled in by the program.
INSERT INTO note (name, value) VALUES ('unfolded', 'true');
