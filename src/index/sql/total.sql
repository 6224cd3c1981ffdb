SELECT observed, recorded_files, recorded_bytes, pending_files, pending_bytes, pending_dirs, vanished_files, vanished_dirs, parked
FROM total
