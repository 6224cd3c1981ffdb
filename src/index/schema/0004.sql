-- One row is one recorded file of which it was last proven at this time that the server holds it as recorded. It goes when
-- something else is recorded: what was sent since has to be proven anew.
CREATE TABLE proof (
    path BLOB NOT NULL PRIMARY KEY,
    -- Wall clock, milliseconds.
    at INTEGER NOT NULL,
    -- By its size (and time), by a checksum that the server computed, by being read back.
    way TEXT NOT NULL CHECK (way IN ('size', 'checksum', 'reading'))
) STRICT, WITHOUT ROWID;
CREATE INDEX proof_at ON proof (at);

-- One row is one of these ways and how many files are proven by it; kept by the triggers.
CREATE TABLE proof_count (
    way TEXT NOT NULL PRIMARY KEY,
    files INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO proof_count (way) VALUES ('size'), ('checksum'), ('reading');
CREATE TRIGGER proof_new AFTER INSERT ON proof BEGIN
    UPDATE proof_count SET files = files + 1 WHERE way = NEW.way;
END;
CREATE TRIGGER proof_gone AFTER DELETE ON proof BEGIN
    UPDATE proof_count SET files = files - 1 WHERE way = OLD.way;
END;
CREATE TRIGGER proof_again AFTER UPDATE OF way ON proof BEGIN
    UPDATE proof_count SET files = files - 1 WHERE way = OLD.way;
    UPDATE proof_count SET files = files + 1 WHERE way = NEW.way;
END;
