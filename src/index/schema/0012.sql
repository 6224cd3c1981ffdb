-- Names that went round.

-- Of a renaming of several names in turn the others, behind `path`: their keys, two NULs between each. NULL: another job.
ALTER TABLE job ADD COLUMN ring BLOB;
