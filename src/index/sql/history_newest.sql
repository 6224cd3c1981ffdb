SELECT max(id) FROM history
