-- What somebody wants back and may be tried now; a time that lies too far ahead was set by another clock. Where something has come
-- in its place since, it would only be overwritten.
SELECT place, path FROM trash INDEXED BY trash_wanted
WHERE wanted AND (not_before IS NULL OR not_before <= ?1 OR not_before > ?2)
    AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.path = trash.path)
LIMIT ?3
