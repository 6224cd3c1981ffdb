-- What somebody wants back and may be tried now; a time that lies too far ahead was set by another clock.
SELECT place, path FROM trash INDEXED BY trash_wanted
WHERE wanted AND (not_before IS NULL OR not_before <= ?1 OR not_before > ?2) LIMIT ?3
