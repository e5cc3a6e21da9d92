-- Split DISTINCT aggregates in mini-batches: the first level keeps distinct values and hands on what they change.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '5 s'; SET 'table.exec.mini-batch.size' = '1000';
SET 'table.optimizer.distinct-agg.split.enabled' = 'true';
EXPLAIN CHANGELOG_MODE SELECT auction, COUNT(DISTINCT channel) AS channels, SUM(price) AS total, MAX(channel) AS m FROM bid GROUP BY auction;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalAggregate(group=[{0}], channels=[COUNT(DISTINCT $1)], total=[SUM($2)], m=[MAX($1)])
-- +- LogicalProject(auction=[$0], channel=[$2], price=[$3])
--    +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- GlobalGroupAggregate(groupBy=[auction], partialFinalType=[FINAL], select=[auction, $SUM0(count$0) AS channels, SUM(sum$1) AS total, MAX(max$2) AS m], changelogMode=[I,UA,D])
-- +- Exchange(distribution=[hash[auction]], changelogMode=[I])
--    +- IncrementalGroupAggregate(partialAggGrouping=[auction, $f3], finalAggGrouping=[auction], select=[auction, COUNT(distinct$0 count$0) AS count$0, SUM(sum$1) AS sum$1, MAX(max$2) AS max$2], changelogMode=[I])
--       +- Exchange(distribution=[hash[auction, $f3]], changelogMode=[I])
--          +- LocalGroupAggregate(groupBy=[auction, $f3], partialFinalType=[PARTIAL], select=[auction, $f3, COUNT(distinct$0 channel) AS count$0, SUM(price) AS sum$1, MAX(channel) AS max$2, DISTINCT(channel) AS distinct$0], changelogMode=[I])
--             +- Calc(select=[auction, channel, price, MOD(%(HASH_CODE(channel), 1024)) AS $f3], changelogMode=[I])
--                +- MiniBatchAssigner(interval=[5000ms], mode=[ProcTime], changelogMode=[I])
--                   +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, channel, price], metadata=[]]], fields=[auction, channel, price], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- GlobalGroupAggregate(groupBy=[auction], partialFinalType=[FINAL], select=[auction, $SUM0(count$0) AS channels, SUM(sum$1) AS total, MAX(max$2) AS m])
-- +- Exchange(distribution=[hash[auction]])
--    +- IncrementalGroupAggregate(partialAggGrouping=[auction, $f3], finalAggGrouping=[auction], select=[auction, COUNT(distinct$0 count$0) AS count$0, SUM(sum$1) AS sum$1, MAX(max$2) AS max$2])
--       +- Exchange(distribution=[hash[auction, $f3]])
--          +- LocalGroupAggregate(groupBy=[auction, $f3], partialFinalType=[PARTIAL], select=[auction, $f3, COUNT(distinct$0 channel) AS count$0, SUM(price) AS sum$1, MAX(channel) AS max$2, DISTINCT(channel) AS distinct$0])
--             +- Calc(select=[auction, channel, price, MOD((HASH_CODE(channel) % 1024)) AS $f3])
--                +- MiniBatchAssigner(interval=[5000ms], mode=[ProcTime])
--                   +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, channel, price], metadata=[]]], fields=[auction, channel, price])
