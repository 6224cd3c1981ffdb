UPDATE job SET in_doubt = 1 WHERE in_doubt = 0
