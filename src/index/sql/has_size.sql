-- Whether the server holds a file of this size, worth to be copied, of which the content is known: under its name, or in the trash.
SELECT EXISTS (
    SELECT 1 FROM entry INDEXED BY entry_content
    WHERE r_kind = 'file' AND r_size >= 65536 AND r_size = ?1 AND r_digest IS NOT NULL
) OR EXISTS (SELECT 1 FROM trash INDEXED BY trash_content WHERE size = ?1 AND digest IS NOT NULL AND kind = 'file')
