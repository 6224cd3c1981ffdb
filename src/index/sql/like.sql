-- A file that the server holds with this size and digest, and that stays there as far as is known.
SELECT path FROM entry INDEXED BY entry_content
WHERE r_kind = 'file' AND r_size >= 65536 AND r_size = ?1 AND r_digest = ?2 AND since IS NULL AND path <> ?3
LIMIT 1
