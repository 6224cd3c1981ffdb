-- What was done, for those who ask.

-- One row is one thing that was done on the server, or tried; the newest 10,000 of them. Nothing is decided by it.
CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- When it was settled (wall clock, milliseconds).
    at INTEGER NOT NULL,
    -- What became of it, in the word that is shown; where; and where it was before, or where it went. Paths as in `entry`.
    what TEXT NOT NULL,
    path BLOB NOT NULL,
    other BLOB,
    -- Bytes of body that were sent, of a file.
    bytes INTEGER,
    -- Why it failed.
    why TEXT
) STRICT;
