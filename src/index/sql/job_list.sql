-- Every job, or those in doubt alone, in the order of their promises.
SELECT * FROM job WHERE in_doubt >= ?1 ORDER BY id
