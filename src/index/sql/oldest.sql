SELECT min(since) FROM entry INDEXED BY entry_since WHERE since IS NOT NULL
