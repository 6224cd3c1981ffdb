-- The trash. Its jobs are in `job` as it is: a removal with a `source` is a move to there, a rename whose `source` lies there
-- is the way back, and a removal of what lies there is its end.

-- One row is one thing that lies in the mirror's trash on the server.
CREATE TABLE trash (
    -- Where, as in `entry`; where it was before, which is NULL of a directory of the trash itself.
    place BLOB NOT NULL PRIMARY KEY,
    path BLOB,
    kind TEXT NOT NULL CHECK (kind IN ('file', 'dir', 'link')),
    -- Bytes, as in `entry`.
    size INTEGER NOT NULL,
    -- The time of modification that it was given, as in `entry`, where that is known.
    mtime INTEGER,
    -- Since when (wall clock, milliseconds).
    at INTEGER NOT NULL,
    -- 1: somebody asked to have it back.
    wanted INTEGER NOT NULL DEFAULT 0 CHECK (wanted IN (0, 1)),
    -- After a failure: nothing is tried before this time.
    not_before INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX trash_at ON trash (at);
CREATE INDEX trash_path ON trash (path) WHERE path IS NOT NULL;
CREATE INDEX trash_wanted ON trash (place) WHERE wanted;

-- One row is a path that Towline left on the server, by `delete = "keep"`, `reject` or `undo`, and has not touched since.
CREATE TABLE left_there (
    path BLOB NOT NULL PRIMARY KEY,
    -- What it is, as in `trash`.
    kind TEXT NOT NULL CHECK (kind IN ('file', 'dir', 'link')),
    size INTEGER NOT NULL,
    mtime INTEGER,
    -- Since when (wall clock, milliseconds).
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
