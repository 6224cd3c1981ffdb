-- The newest ones behind an id, newest first.
SELECT id, at, what, path, other, bytes, size, why FROM history WHERE id > ?1 ORDER BY id DESC LIMIT ?2
