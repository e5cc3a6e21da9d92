-- In mini-batches the first row is there at once, and one that comes before it takes its place.
SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '1 s';
SET 'table.exec.mini-batch.size' = '3';
CREATE TABLE t (a INT, b STRING, rt TIMESTAMP(3), pt AS PROCTIME(), WATERMARK FOR rt AS rt) WITH ('connector' = 'fake');
EXPLAIN CHANGELOG_MODE SELECT COUNT(b) FROM (
  SELECT a, b FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY a ORDER BY rt) AS n FROM t) WHERE n <= 1
);
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalAggregate(group=[{}], EXPR$0=[COUNT($0)])
-- +- LogicalProject(b=[$1])
--    +- LogicalProject(a=[$0], b=[$1])
--       +- LogicalFilter(condition=[<=($4, 1)])
--          +- LogicalProject(a=[$0], b=[$1], rt=[$2], pt=[$3], n=[ROW_NUMBER() OVER (PARTITION BY $0 ORDER BY $2 NULLS FIRST)])
--             +- LogicalWatermarkAssigner(rowtime=[rt], watermark=[$2])
--                +- LogicalProject(a=[$0], b=[$1], rt=[$2], pt=[PROCTIME()])
--                   +- LogicalTableScan(table=[[default_catalog, default_database, t]])
--
-- == Optimized Physical Plan ==
-- GlobalGroupAggregate(select=[COUNT_RETRACT(count$0) AS EXPR$0], changelogMode=[I,UA,D])
-- +- Exchange(distribution=[single], changelogMode=[I])
--    +- LocalGroupAggregate(select=[COUNT_RETRACT(b) AS count$0, COUNT_RETRACT(*) AS count1$1], changelogMode=[I])
--       +- Calc(select=[b], changelogMode=[I,UB,UA,D])
--          +- Rank(strategy=[AppendFastStrategy], rankType=[ROW_NUMBER], rankRange=[rankStart=1, rankEnd=1], partitionBy=[a], orderBy=[ROWTIME rt ASC], select=[a, b, rt], changelogMode=[I,UB,UA,D])
--             +- Exchange(distribution=[hash[a]], changelogMode=[I])
--                +- MiniBatchAssigner(interval=[1000ms], mode=[RowTime], changelogMode=[I])
--                   +- TableSourceScan(table=[[default_catalog, default_database, t, watermark=[rt]]], fields=[a, b, rt], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- GlobalGroupAggregate(select=[COUNT_RETRACT(count$0) AS EXPR$0])
-- +- Exchange(distribution=[single])
--    +- LocalGroupAggregate(select=[COUNT_RETRACT(b) AS count$0, COUNT_RETRACT(*) AS count1$1])
--       +- Calc(select=[b])
--          +- Deduplicate(keep=[FirstRow], key=[a], order=[ROWTIME], outputInsertOnly=[false])
--             +- Exchange(distribution=[hash[a]])
--                +- MiniBatchAssigner(interval=[1000ms], mode=[RowTime])
--                   +- TableSourceScan(table=[[default_catalog, default_database, t, watermark=[rt]]], fields=[a, b, rt])
