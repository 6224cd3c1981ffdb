-- Publishing together: what is staged waits under its temporary name until everything can be published in one run.

-- Of a job of a release: its place in the run of renames that has begun, or 0 while it is staged. NULL: an ordinary job. Of a put
-- with a place, the fingerprint and the digest are those of what was sent.
ALTER TABLE job ADD COLUMN step INTEGER CHECK (step >= 0);
