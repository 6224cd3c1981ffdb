-- Of each path at or below one the newest, if it came no earlier than a time and nothing is there now, as far as is known. (Of
-- a group with one max(), SQLite gives the other columns of that row.) An old version comes back for who asks for its very path: a
-- file that was replaced and then renamed was never removed.
SELECT t.place, t.path, t.size, max(t.at) FROM trash AS t
WHERE t.path IS NOT NULL AND t.path >= ?1 AND t.path < ?2 AND t.at >= ?3 AND (NOT t.version OR t.path = ?1)
    AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.path = t.path)
    AND NOT EXISTS (SELECT 1 FROM left_there WHERE left_there.path = t.path)
GROUP BY t.path ORDER BY t.path LIMIT ?4
