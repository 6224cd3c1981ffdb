-- Where a file with this size and digest is, and its time of modification: first where it stays as far as is known, last in the trash.
SELECT path, mtime FROM (
    SELECT path, r_mtime AS mtime, since IS NOT NULL AS turn FROM entry INDEXED BY entry_content
    WHERE r_kind = 'file' AND r_size >= 65536 AND r_size = ?1 AND r_digest = ?2
    UNION ALL
    SELECT place, mtime, 2 FROM trash INDEXED BY trash_content WHERE size = ?1 AND digest = ?2 AND kind = 'file'
) ORDER BY turn LIMIT 1
