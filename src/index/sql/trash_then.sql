-- Of each path at or below one the file that was the first to be removed after a time: it was there at that time. (Of a group with
-- one min(), SQLite gives the other columns of that row.)
SELECT place, path, size, mtime, min(at) FROM trash
WHERE path IS NOT NULL AND kind = 'file' AND path >= ?1 AND path < ?2 AND at > ?3
GROUP BY path ORDER BY path LIMIT ?4
