-- Vanished files of this size and digest.
SELECT * FROM entry INDEXED BY entry_vanished_content
WHERE o_kind IS NULL AND r_kind = 'file' AND r_size = ?1 AND r_digest = ?2
ORDER BY path LIMIT ?3
