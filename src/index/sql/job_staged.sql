-- The jobs of a release: those that are staged, then the run in its order.
SELECT * FROM job WHERE step IS NOT NULL ORDER BY step, id
