DELETE FROM left_there WHERE path = ?1
