SELECT min(at) FROM proof
