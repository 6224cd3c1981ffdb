SELECT way, files FROM proof_count
