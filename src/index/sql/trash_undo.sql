-- Of each path at or below one the newest, if it came no earlier than a time. (Of a group with one max(), SQLite gives the other
-- columns of that row.) Where nothing is now, as far as is known: what was removed; an old version comes back for who asks for its
-- very path, or for versions: a file that was replaced and then renamed was never removed. Where a file is now, here and there, and
-- is small enough to be copied: another version than that, for who asks for its very path, or for versions.
SELECT t.place, t.path, t.size, max(t.at), EXISTS (SELECT 1 FROM entry WHERE entry.path = t.path) FROM trash AS t
WHERE t.path IS NOT NULL AND t.path >= ?1 AND t.path < ?2 AND t.at >= ?3 AND (NOT t.version OR t.path = ?1 OR ?5)
    AND NOT EXISTS (
        SELECT 1 FROM entry AS e WHERE e.path = t.path AND (
            (t.path <> ?1 AND NOT ?5) OR t.kind <> 'file' OR e.o_kind IS NOT 'file' OR e.r_kind IS NOT 'file' OR e.r_size > ?6
            OR (e.r_size = t.size AND nullif(e.r_mtime, 0) IS t.mtime)
        )
    )
    AND NOT EXISTS (SELECT 1 FROM left_there WHERE left_there.path = t.path)
GROUP BY t.path ORDER BY t.path LIMIT ?4
