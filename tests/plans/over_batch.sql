-- In batch mode each partitioning with its order is a step, and each frame a window of it.
SET 'execution.runtime-mode' = 'batch';
CREATE TABLE src (k STRING, v INT, n INT, ts TIMESTAMP(3)) WITH ('connector' = 'fake');
EXPLAIN SELECT SUM(v) OVER (PARTITION BY k ORDER BY ts), SUM(v) OVER (PARTITION BY k ORDER BY ts ROWS 2 PRECEDING), RANK() OVER (PARTITION BY k ORDER BY ts),
  LEAD(v) OVER (PARTITION BY k ORDER BY ts), NTILE(4) OVER (PARTITION BY k ORDER BY ts), COUNT(*) OVER (PARTITION BY n ORDER BY v RANGE BETWEEN 1 PRECEDING AND 2 FOLLOWING)
FROM src;
-- EXPECT
-- ERROR: Querying an unbounded table 'default_catalog.default_database.src' in batch mode is not allowed. The table source is unbounded. (line 4, column 9). Bound the source, or SET 'execution.runtime-mode' = 'STREAMING'
