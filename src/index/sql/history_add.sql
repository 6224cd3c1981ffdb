INSERT INTO history (at, what, path, other, bytes, why) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
