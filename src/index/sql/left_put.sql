INSERT INTO left_there (path, at) VALUES (?1, ?2) ON CONFLICT (path) DO NOTHING
