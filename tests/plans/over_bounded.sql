-- A frame of rows, without partitions; what nobody reads is not computed, and its window does not count.
CREATE TABLE src (k STRING, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN SELECT k, m FROM (
  SELECT k, MAX(v) OVER (ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS m, COUNT(*) OVER (ORDER BY v) AS c FROM src);
