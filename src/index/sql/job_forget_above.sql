-- Renamings of directories that what is at this key will be in.
UPDATE job SET forgotten = 1
WHERE verb = 'rename' AND source IS NOT NULL AND size IS NULL AND inode IS NOT NULL
    AND ?1 > path AND substr(?1, 1, length(path) + 1) = CAST(path || x'00' AS BLOB)
