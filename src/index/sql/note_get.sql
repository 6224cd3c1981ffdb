SELECT value FROM note WHERE name = ?1
