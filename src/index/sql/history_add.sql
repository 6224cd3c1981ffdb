INSERT INTO history (at, what, path, other, bytes, size, why) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
