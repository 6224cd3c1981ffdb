SELECT size, mtime, digest FROM trash WHERE place = ?1 AND kind = 'file'
