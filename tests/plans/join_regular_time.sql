-- Time attributes end in a regular join.
CREATE TABLE o (id INT, ts TIMESTAMP(3), p AS PROCTIME(), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
CREATE TABLE s (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN SELECT o.id, o.ts, o.p, s.ts AS st FROM o JOIN s ON o.id = s.id AND o.ts > s.ts;
