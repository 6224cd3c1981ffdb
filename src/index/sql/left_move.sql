-- What was left strictly between two keys is there under another beginning; ?4 is the first byte that stays.
UPDATE OR REPLACE left_there SET path = CAST(?3 || substr(path, ?4) AS BLOB) WHERE path > ?1 AND path < ?2
