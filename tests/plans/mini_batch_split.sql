-- The two levels, each in two phases.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '5 s'; SET 'table.exec.mini-batch.size' = '1000';
SET 'table.optimizer.distinct-agg.split.enabled' = 'true';
SET 'table.optimizer.incremental-agg-enabled' = 'false';
EXPLAIN CHANGELOG_MODE SELECT auction, COUNT(DISTINCT channel) AS channels, SUM(price) AS total, MAX(channel) AS m FROM bid GROUP BY auction;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalAggregate(group=[{0}], channels=[COUNT(DISTINCT $1)], total=[SUM($2)], m=[MAX($1)])
-- +- LogicalProject(auction=[$0], channel=[$2], price=[$3])
--    +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- GlobalGroupAggregate(groupBy=[auction], partialFinalType=[FINAL], select=[auction, $SUM0_RETRACT(sum$0) AS channels, SUM_RETRACT((sum$1, count$2)) AS total, MAX(max$3) AS m], changelogMode=[I,UA,D])
-- +- Exchange(distribution=[hash[auction]], changelogMode=[I])
--    +- LocalGroupAggregate(groupBy=[auction], partialFinalType=[FINAL], select=[auction, $SUM0_RETRACT($f2) AS sum$0, SUM_RETRACT($f3_) AS (sum$1, count$2), MAX($f4) AS max$3, COUNT_RETRACT(*) AS count1$4], changelogMode=[I])
--       +- GlobalGroupAggregate(groupBy=[auction, $f3], partialFinalType=[PARTIAL], select=[auction, $f3, COUNT(distinct$0 count$0) AS $f2, SUM(sum$1) AS $f3_, MAX(max$2) AS $f4], changelogMode=[I,UB,UA])
--          +- Exchange(distribution=[hash[auction, $f3]], changelogMode=[I])
--             +- LocalGroupAggregate(groupBy=[auction, $f3], partialFinalType=[PARTIAL], select=[auction, $f3, COUNT(distinct$0 channel) AS count$0, SUM(price) AS sum$1, MAX(channel) AS max$2, DISTINCT(channel) AS distinct$0], changelogMode=[I])
--                +- Calc(select=[auction, channel, price, MOD(%(HASH_CODE(channel), 1024)) AS $f3], changelogMode=[I])
--                   +- MiniBatchAssigner(interval=[5000ms], mode=[ProcTime], changelogMode=[I])
--                      +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, channel, price], metadata=[]]], fields=[auction, channel, price], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- GlobalGroupAggregate(groupBy=[auction], partialFinalType=[FINAL], select=[auction, $SUM0_RETRACT(sum$0) AS channels, SUM_RETRACT((sum$1, count$2)) AS total, MAX(max$3) AS m])
-- +- Exchange(distribution=[hash[auction]])
--    +- LocalGroupAggregate(groupBy=[auction], partialFinalType=[FINAL], select=[auction, $SUM0_RETRACT($f2) AS sum$0, SUM_RETRACT($f3_) AS (sum$1, count$2), MAX($f4) AS max$3, COUNT_RETRACT(*) AS count1$4])
--       +- GlobalGroupAggregate(groupBy=[auction, $f3], partialFinalType=[PARTIAL], select=[auction, $f3, COUNT(distinct$0 count$0) AS $f2, SUM(sum$1) AS $f3_, MAX(max$2) AS $f4])
--          +- Exchange(distribution=[hash[auction, $f3]])
--             +- LocalGroupAggregate(groupBy=[auction, $f3], partialFinalType=[PARTIAL], select=[auction, $f3, COUNT(distinct$0 channel) AS count$0, SUM(price) AS sum$1, MAX(channel) AS max$2, DISTINCT(channel) AS distinct$0])
--                +- Calc(select=[auction, channel, price, MOD((HASH_CODE(channel) % 1024)) AS $f3])
--                   +- MiniBatchAssigner(interval=[5000ms], mode=[ProcTime])
--                      +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, channel, price], metadata=[]]], fields=[auction, channel, price])
