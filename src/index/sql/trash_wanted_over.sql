-- As `trash_wanted.sql`, where a file is here and on the server: an old version is to take its place.
SELECT place, path FROM trash INDEXED BY trash_wanted
WHERE wanted AND (not_before IS NULL OR not_before <= ?1 OR not_before > ?2)
    AND EXISTS (SELECT 1 FROM entry WHERE entry.path = trash.path AND o_kind = 'file' AND r_kind = 'file')
LIMIT ?3
