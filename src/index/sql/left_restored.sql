-- What was in the trash is at its path again.
INSERT INTO left_there (path, kind, size, mtime, at)
SELECT path, kind, size, mtime, ?2 FROM trash WHERE place = ?1 AND path IS NOT NULL
ON CONFLICT (path) DO UPDATE SET kind = excluded.kind, size = excluded.size, mtime = excluded.mtime
