-- Whether a job touches a key or what lies between it and another; what is merely staged waits, and is pending.
SELECT EXISTS (
    SELECT 1 FROM job
    WHERE step IS NOT 0 AND ((path >= ?1 AND path < ?2) OR (source >= ?1 AND source < ?2))
)
