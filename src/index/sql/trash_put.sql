INSERT INTO trash (place, path, kind, size, mtime, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (place) DO NOTHING
