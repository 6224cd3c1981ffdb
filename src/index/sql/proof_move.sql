-- What was proven strictly between two keys is so under another beginning; ?4 is the first byte that stays.
UPDATE proof SET path = CAST(?3 || substr(path, ?4) AS BLOB) WHERE path > ?1 AND path < ?2
