-- Files in the trash with this content that nobody wants back.
SELECT place FROM trash INDEXED BY trash_content WHERE size = ?1 AND digest = ?2 AND kind = 'file' AND NOT wanted LIMIT ?3
