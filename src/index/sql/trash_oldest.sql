-- Files and links, oldest first, that came before a time and are to go; and perhaps versions, whenever they came.
SELECT place, size FROM trash INDEXED BY trash_at
WHERE (at < ?1 OR (?5 AND version)) AND path IS NOT NULL AND (not_before IS NULL OR not_before <= ?2 OR not_before > ?3)
    AND (NOT wanted OR EXISTS (
        SELECT 1 FROM entry WHERE entry.path = trash.path AND (o_kind IS NOT 'file' OR r_kind IS NOT 'file')
    ))
ORDER BY at LIMIT ?4
