SELECT * FROM entry WHERE path = ?1
