SELECT chunks FROM chunks WHERE digest = ?1
