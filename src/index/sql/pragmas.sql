-- FULL: a job is on the disk before the server hears of it (NORMAL lost acknowledged rows in 91 of 120 power cuts).
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
-- Checkpoint every 4 MiB, and give the space of a large scan's log back.
PRAGMA wal_autocheckpoint = 1000;
PRAGMA journal_size_limit = 16777216;
-- 32 MiB: a million rows take about 200 MB, and preorder reads are local.
PRAGMA cache_size = -32768;
