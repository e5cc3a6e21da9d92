-- Rows that are near in time.
CREATE TABLE o (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
CREATE TABLE s (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) WITH ('connector' = 'fake');
EXPLAIN SELECT o.id, s.ts FROM o JOIN s ON o.id = s.id
WHERE o.ts BETWEEN s.ts - INTERVAL '5' SECOND AND s.ts + INTERVAL '1' MINUTE;
