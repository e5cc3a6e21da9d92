-- A row that does not pass a condition any more has to be taken back, for which the row before it is needed: all are kept.
CREATE TABLE t (k BIGINT, s STRING, v BIGINT) WITH ('connector' = 'fake');
EXPLAIN CHANGELOG_MODE SELECT k, c FROM (
  SELECT k, c, ROW_NUMBER() OVER (ORDER BY c DESC) AS n FROM (SELECT k, COUNT(*) AS c FROM t GROUP BY k) WHERE c > 2
) WHERE n <= 3;
