-- A frame of rows, without partitions; what nobody reads is not computed, and its window does not count.
CREATE TABLE src (k STRING, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN SELECT k, m FROM (
  SELECT k, MAX(v) OVER (ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS m, COUNT(*) OVER (ORDER BY v) AS c FROM src);
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(k=[$0], m=[$1])
-- +- LogicalProject(k=[$0], m=[$3], c=[COUNT() OVER (ORDER BY $1 NULLS FIRST)])
--    +- LogicalOver(w0$o0=[MAX($1) OVER (ORDER BY $2 NULLS FIRST ROWS 2 PRECEDING)])
--       +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$2])
--          +- LogicalTableScan(table=[[default_catalog, default_database, src]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[k, w0$o0 AS m])
-- +- OverAggregate(orderBy=[ts ASC], window=[ ROWS BETWEEN 2 PRECEDING AND CURRENT ROW], select=[k, v, ts, MAX(v) AS w0$o0])
--    +- Exchange(distribution=[single])
--       +- TableSourceScan(table=[[default_catalog, default_database, src, watermark=[ts]]], fields=[k, v, ts])
--
-- == Optimized Execution Plan ==
-- Calc(select=[k, w0$o0 AS m])
-- +- OverAggregate(orderBy=[ts ASC], window=[ ROWS BETWEEN 2 PRECEDING AND CURRENT ROW], select=[k, v, ts, MAX(v) AS w0$o0])
--    +- Exchange(distribution=[single])
--       +- TableSourceScan(table=[[default_catalog, default_database, src, watermark=[ts]]], fields=[k, v, ts])
