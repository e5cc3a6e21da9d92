-- Rows that are near in time.
CREATE TABLE o (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
CREATE TABLE s (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) WITH ('connector' = 'fake');
EXPLAIN SELECT o.id, s.ts FROM o JOIN s ON o.id = s.id
WHERE o.ts BETWEEN s.ts - INTERVAL '5' SECOND AND s.ts + INTERVAL '1' MINUTE;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(id=[$0], ts=[$3])
-- +- LogicalJoin(condition=[AND(>=(CAST($1):TIMESTAMP(3), -($3, 5000:INTERVAL SECOND)), <=(CAST($1):TIMESTAMP(3), +($3, 60000:INTERVAL MINUTE)), =($0, $2))], joinType=[inner])
--    :- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$1])
--    :  +- LogicalTableScan(table=[[default_catalog, default_database, o]])
--    +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[-($1, 1000:INTERVAL SECOND)])
--       +- LogicalTableScan(table=[[default_catalog, default_database, s]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[id, ts0 AS ts])
-- +- IntervalJoin(joinType=[InnerJoin], windowBounds=[isRowTime=true, leftLowerBound=-5000, leftUpperBound=60000, leftTimeIndex=1, rightTimeIndex=1], where=[AND(>=(CAST(ts):TIMESTAMP(3), -(ts0, 5000:INTERVAL SECOND)), <=(CAST(ts):TIMESTAMP(3), +(ts0, 60000:INTERVAL MINUTE)), =(id, id0))], select=[id, ts, id0, ts0])
--    :- Exchange(distribution=[hash[id]])
--    :  +- TableSourceScan(table=[[default_catalog, default_database, o, watermark=[ts]]], fields=[id, ts])
--    +- Exchange(distribution=[hash[id]])
--       +- TableSourceScan(table=[[default_catalog, default_database, s, watermark=[-(ts, 1000:INTERVAL SECOND)]]], fields=[id, ts])
--
-- == Optimized Execution Plan ==
-- Calc(select=[id, ts0 AS ts])
-- +- IntervalJoin(joinType=[InnerJoin], windowBounds=[isRowTime=true, leftLowerBound=-5000, leftUpperBound=60000, leftTimeIndex=1, rightTimeIndex=1], where=[((CAST(ts AS TIMESTAMP(3)) >= (ts0 - 5000:INTERVAL SECOND)) AND (CAST(ts AS TIMESTAMP(3)) <= (ts0 + 60000:INTERVAL MINUTE)) AND (id = id0))], select=[id, ts, id0, ts0])
--    :- Exchange(distribution=[hash[id]])
--    :  +- TableSourceScan(table=[[default_catalog, default_database, o, watermark=[ts]]], fields=[id, ts])
--    +- Exchange(distribution=[hash[id]])
--       +- TableSourceScan(table=[[default_catalog, default_database, s, watermark=[-(ts, 1000:INTERVAL SECOND)]]], fields=[id, ts])
