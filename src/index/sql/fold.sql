UPDATE entry SET fold = ?2 WHERE path = ?1
