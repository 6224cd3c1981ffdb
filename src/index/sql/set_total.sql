UPDATE total SET observed = ?1, recorded_files = ?2, recorded_bytes = ?3, pending_files = ?4, pending_bytes = ?5,
    pending_dirs = ?6, vanished_files = ?7, vanished_dirs = ?8, parked = ?9
