DELETE FROM proof WHERE path = ?1
