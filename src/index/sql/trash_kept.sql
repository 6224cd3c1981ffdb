-- Whether a version of a path is in the trash, known by its size and time.
SELECT 1 FROM trash WHERE path = ?1 AND version AND size = ?2 AND mtime IS ?3
