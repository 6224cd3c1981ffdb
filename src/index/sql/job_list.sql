-- Every job, or those in doubt alone that are no release's, in the order of their promises.
SELECT * FROM job WHERE in_doubt >= ?1 AND (?1 = 0 OR step IS NULL) ORDER BY id
