SELECT at, way FROM proof WHERE path = ?1
