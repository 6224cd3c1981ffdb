INSERT INTO trash (place, path, kind, size, mtime, at, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (place) DO NOTHING
