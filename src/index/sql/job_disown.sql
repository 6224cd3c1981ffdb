-- Removals: what the server says of them does not bring a forgotten row back.
UPDATE job SET forgotten = 1 WHERE verb IN ('remove-file', 'remove-dir')
