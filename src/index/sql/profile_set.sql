INSERT INTO profile (endpoint, learnt, at) VALUES (?1, ?2, ?3)
ON CONFLICT (endpoint) DO UPDATE SET learnt = excluded.learnt, at = excluded.at
