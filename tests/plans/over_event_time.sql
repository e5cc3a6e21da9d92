-- Of a sum that may be NULL, and of a mean, the parts are computed; functions of one window share them.
CREATE TABLE src (k STRING, v INT, n BIGINT NOT NULL, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN CHANGELOG_MODE SELECT k, SUM(v) OVER w AS s, AVG(v) OVER w AS a, SUM(n) OVER w AS t, LAG(v, 2) OVER w AS l, COUNT(DISTINCT v + 1) OVER w AS d
FROM src WINDOW w AS (PARTITION BY UPPER(k) ORDER BY ts);
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(k=[$0], s=[CASE(>(COUNT($1) OVER (PARTITION BY $4 ORDER BY $3 NULLS FIRST), 0), $SUM0($1) OVER (PARTITION BY $4 ORDER BY $3 NULLS FIRST), null:INTEGER)], a=[CAST(/(CAST(CASE(>(COUNT($1) OVER (PARTITION BY $4 ORDER BY $3 NULLS FIRST), 0), $SUM0($1) OVER (PARTITION BY $4 ORDER BY $3 NULLS FIRST), null:INTEGER)):BIGINT, COUNT($1) OVER (PARTITION BY $4 ORDER BY $3 NULLS FIRST))):INTEGER], t=[SUM($2) OVER (PARTITION BY $4 ORDER BY $3 NULLS FIRST)], l=[LAG($1, 2) OVER (PARTITION BY $4 ORDER BY $3 NULLS FIRST)], d=[COUNT(DISTINCT $5) OVER (PARTITION BY $4 ORDER BY $3 NULLS FIRST)])
-- +- LogicalProject(k=[$0], v=[$1], n=[$2], ts=[$3], $o0=[UPPER($0)], $o1=[+($1, 1)])
--    +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$3])
--       +- LogicalTableScan(table=[[default_catalog, default_database, src]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[k, CASE(>(w0$o0, 0), w0$o1, null:INTEGER) AS s, CAST(/(CAST(CASE(>(w0$o0, 0), w0$o1, null:INTEGER)):BIGINT, w0$o0)):INTEGER AS a, w0$o2 AS t, w0$o3 AS l, w0$o4 AS d], changelogMode=[I])
-- +- OverAggregate(partitionBy=[$4], orderBy=[ts ASC], window=[ RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW], select=[k, v, n, ts, $4, $5, COUNT(v) AS w0$o0, $SUM0(v) AS w0$o1, SUM(n) AS w0$o2, LAG(v, 2) AS w0$o3, COUNT(DISTINCT $5) AS w0$o4], changelogMode=[I])
--    +- Exchange(distribution=[hash[$4]], changelogMode=[I])
--       +- Calc(select=[k, v, n, ts, UPPER(k) AS $4, +(v, 1) AS $5], changelogMode=[I])
--          +- TableSourceScan(table=[[default_catalog, default_database, src, watermark=[ts]]], fields=[k, v, n, ts], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- Calc(select=[k, CASE((w0$o0 > 0), w0$o1, null:INTEGER) AS s, CAST((CAST(CASE((w0$o0 > 0), w0$o1, null:INTEGER) AS BIGINT) / w0$o0) AS INTEGER) AS a, w0$o2 AS t, w0$o3 AS l, w0$o4 AS d])
-- +- OverAggregate(partitionBy=[$4], orderBy=[ts ASC], window=[ RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW], select=[k, v, n, ts, $4, $5, COUNT(v) AS w0$o0, $SUM0(v) AS w0$o1, SUM(n) AS w0$o2, LAG(v, 2) AS w0$o3, COUNT(DISTINCT $5) AS w0$o4])
--    +- Exchange(distribution=[hash[$4]])
--       +- Calc(select=[k, v, n, ts, UPPER(k) AS $4, (v + 1) AS $5])
--          +- TableSourceScan(table=[[default_catalog, default_database, src, watermark=[ts]]], fields=[k, v, n, ts])
