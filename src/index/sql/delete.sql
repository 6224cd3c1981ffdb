DELETE FROM entry WHERE path = ?1
