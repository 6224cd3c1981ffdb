INSERT INTO trash (place, path, kind, size, at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (place) DO NOTHING
