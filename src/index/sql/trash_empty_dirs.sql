-- Directories of the trash made before a time, with nothing in them. NUL and the byte behind it enclose what is in one.
SELECT d.place FROM trash AS d
WHERE d.path IS NULL AND d.at < ?1 AND (d.not_before IS NULL OR d.not_before <= ?2 OR d.not_before > ?3)
    AND NOT EXISTS (SELECT 1 FROM trash AS f WHERE f.place > CAST(d.place || x'00' AS BLOB) AND f.place < CAST(d.place || x'01' AS BLOB))
LIMIT ?4
