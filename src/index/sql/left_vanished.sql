-- Whatever is gone here and still on the server stays there.
INSERT INTO left_there (path, at) SELECT path, ?1 FROM entry INDEXED BY entry_vanished WHERE o_kind IS NULL ON CONFLICT (path) DO NOTHING
