-- FULL: a job is on the disk before the server hears of it (NORMAL lost acknowledged rows in 91 of 120 power cuts).
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
-- Checkpoint every 32 MiB: a first scan writes the same index pages over and over (at 4 MiB it took twice as long).
PRAGMA wal_autocheckpoint = 8192;
PRAGMA journal_size_limit = 67108864;
-- 32 MiB; reads in preorder are local.
PRAGMA cache_size = -32768;
