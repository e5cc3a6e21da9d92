-- In an order that is none of time rows change, and -U is left out where nobody asks for it.
CREATE TABLE src (k STRING, v INT) WITH ('connector' = 'fake');
EXPLAIN CHANGELOG_MODE SELECT k, c, SUM(c) OVER (PARTITION BY k ORDER BY c) AS s
FROM (SELECT k, COUNT(*) AS c FROM src GROUP BY k) QUALIFY SUM(c) OVER (PARTITION BY k ORDER BY c) > 3;
