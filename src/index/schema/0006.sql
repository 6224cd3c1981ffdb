-- Versions in the trash: copies of what was replaced. Their jobs are in `job` as it is: a put with a `source`.

-- 1: it was replaced at its path, and not removed from there.
ALTER TABLE trash ADD COLUMN version INTEGER NOT NULL DEFAULT 0 CHECK (version IN (0, 1));
