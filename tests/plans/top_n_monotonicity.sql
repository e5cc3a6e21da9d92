-- A sum of counts only rises: the rows that a Top-N needs are those that are its first.
CREATE TABLE t (k BIGINT, s STRING, v BIGINT) WITH ('connector' = 'fake');
EXPLAIN SELECT k, c FROM (
  SELECT k, c, ROW_NUMBER() OVER (ORDER BY c DESC) AS n
  FROM (SELECT k, SUM(c) AS c FROM (SELECT k, s, COUNT(*) AS c FROM t GROUP BY k, s) GROUP BY k)
) WHERE n <= 3;
