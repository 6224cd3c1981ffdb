-- Everything of which nothing is here any more.
INSERT INTO left_there (path, kind, size, mtime, at)
SELECT path, r_kind, r_size, r_mtime, ?1 FROM entry INDEXED BY entry_vanished WHERE o_kind IS NULL
ON CONFLICT (path) DO UPDATE SET kind = excluded.kind, size = excluded.size, mtime = excluded.mtime
