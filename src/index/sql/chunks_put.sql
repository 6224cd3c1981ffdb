INSERT INTO chunks (digest, size, chunks) VALUES (?1, ?2, ?3) ON CONFLICT (digest) DO NOTHING
