INSERT INTO proof (path, at, way) VALUES (?1, ?2, ?3) ON CONFLICT (path) DO UPDATE SET at = excluded.at, way = excluded.way
