-- What a release left becomes ordinary jobs of which nobody knows what became.
UPDATE job SET step = NULL, in_doubt = 1 WHERE step IS NOT NULL
