-- One row is what was learnt about one server (JSON), when last; safe to lose, it is learnt again.
CREATE TABLE profile (
    endpoint TEXT NOT NULL PRIMARY KEY,
    learnt TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
