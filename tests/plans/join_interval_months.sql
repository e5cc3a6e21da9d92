-- A month may have 31 days: so far apart rows are kept, and the condition is looked at for each pair.
CREATE TABLE a (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
CREATE TABLE b (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN SELECT a.k FROM a, b WHERE a.k = b.k AND a.ts BETWEEN b.ts - INTERVAL '1' MONTH AND b.ts;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(k=[$0])
-- +- LogicalJoin(condition=[AND(=($0, $2), >=(CAST($1):TIMESTAMP(3), -($3, 1:INTERVAL MONTH)), <=($1, $3))], joinType=[inner])
--    :- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$1])
--    :  +- LogicalTableScan(table=[[default_catalog, default_database, a]])
--    +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$1])
--       +- LogicalTableScan(table=[[default_catalog, default_database, b]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[k])
-- +- IntervalJoin(joinType=[InnerJoin], windowBounds=[isRowTime=true, leftLowerBound=-2678400000, leftUpperBound=0, leftTimeIndex=1, rightTimeIndex=1], where=[AND(=(k, k0), >=(CAST(ts):TIMESTAMP(3), -(ts0, 1:INTERVAL MONTH)), <=(ts, ts0))], select=[k, ts, k0, ts0])
--    :- Exchange(distribution=[hash[k]])
--    :  +- TableSourceScan(table=[[default_catalog, default_database, a, watermark=[ts]]], fields=[k, ts])
--    +- Exchange(distribution=[hash[k]])
--       +- TableSourceScan(table=[[default_catalog, default_database, b, watermark=[ts]]], fields=[k, ts])
--
-- == Optimized Execution Plan ==
-- Calc(select=[k])
-- +- IntervalJoin(joinType=[InnerJoin], windowBounds=[isRowTime=true, leftLowerBound=-2678400000, leftUpperBound=0, leftTimeIndex=1, rightTimeIndex=1], where=[((k = k0) AND (CAST(ts AS TIMESTAMP(3)) >= (ts0 - 1:INTERVAL MONTH)) AND (ts <= ts0))], select=[k, ts, k0, ts0])
--    :- Exchange(distribution=[hash[k]])
--    :  +- TableSourceScan(table=[[default_catalog, default_database, a, watermark=[ts]]], fields=[k, ts])
--    +- Exchange(distribution=[hash[k]])
--       +- TableSourceScan(table=[[default_catalog, default_database, b, watermark=[ts]]], fields=[k, ts])
