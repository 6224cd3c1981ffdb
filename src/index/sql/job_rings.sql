-- The jobs that rename in turn.
SELECT id, path, ring FROM job WHERE ring IS NOT NULL
