-- Whether a job touches a key or what lies between it and another.
SELECT EXISTS (SELECT 1 FROM job WHERE (path >= ?1 AND path < ?2) OR (source >= ?1 AND source < ?2))
