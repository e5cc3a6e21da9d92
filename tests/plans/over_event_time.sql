-- Of a sum that may be NULL, and of a mean, the parts are computed; functions of one window share them.
CREATE TABLE src (k STRING, v INT, n BIGINT NOT NULL, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN CHANGELOG_MODE SELECT k, SUM(v) OVER w AS s, AVG(v) OVER w AS a, SUM(n) OVER w AS t, LAG(v, 2) OVER w AS l, COUNT(DISTINCT v + 1) OVER w AS d
FROM src WINDOW w AS (PARTITION BY UPPER(k) ORDER BY ts);
