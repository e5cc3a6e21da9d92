-- One phase where the session asks for it.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '5 s'; SET 'table.exec.mini-batch.size' = '1000';
SET 'table.optimizer.agg-phase-strategy' = 'ONE_PHASE';
EXPLAIN CHANGELOG_MODE SELECT auction, SUM(price) AS s FROM bid GROUP BY auction;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalAggregate(group=[{0}], s=[SUM($1)])
-- +- LogicalProject(auction=[$0], price=[$3])
--    +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- GroupAggregate(groupBy=[auction], select=[auction, SUM(price) AS s], changelogMode=[I,UA])
-- +- Exchange(distribution=[hash[auction]], changelogMode=[I])
--    +- MiniBatchAssigner(interval=[5000ms], mode=[ProcTime], changelogMode=[I])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, price], metadata=[]]], fields=[auction, price], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- GroupAggregate(groupBy=[auction], select=[auction, SUM(price) AS s])
-- +- Exchange(distribution=[hash[auction]])
--    +- MiniBatchAssigner(interval=[5000ms], mode=[ProcTime])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, price], metadata=[]]], fields=[auction, price])
