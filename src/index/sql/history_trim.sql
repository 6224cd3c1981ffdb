-- Ids rise by one: those that are so far behind the newest are the oldest.
DELETE FROM history WHERE id <= (SELECT max(id) FROM history) - ?1
