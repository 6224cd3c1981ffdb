SELECT min(not_before) FROM entry INDEXED BY entry_retry WHERE not_before > ?1
