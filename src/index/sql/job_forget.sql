-- Jobs at a key or strictly between it and another: at or below a path.
UPDATE job SET forgotten = 1 WHERE path >= ?1 AND path < ?2
