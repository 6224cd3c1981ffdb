-- Those of contents that no file on the server is recorded to have: of all, or of one.
DELETE FROM chunks WHERE (?1 IS NULL OR digest = ?1) AND NOT EXISTS (
    SELECT 1 FROM entry
    WHERE r_kind = 'file' AND r_size >= 65536 AND r_size = chunks.size AND r_digest = chunks.digest
)
