-- No mini-batches where nothing gathers.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '5 s'; SET 'table.exec.mini-batch.size' = '1000';
EXPLAIN CHANGELOG_MODE SELECT auction FROM bid WHERE auction > 3 UNION ALL SELECT bidder FROM bid;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalUnion(all=[true])
-- :- LogicalProject(auction=[$0])
-- :  +- LogicalFilter(condition=[>($0, 3)])
-- :     +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
-- +- LogicalProject(auction=[$0])
--    +- LogicalProject(bidder=[$1])
--       +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Union(all=[true], union=[auction], changelogMode=[I])
-- :- Calc(select=[auction], where=[>(auction, 3)], changelogMode=[I])
-- :  +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, bidder], metadata=[]]], fields=[auction, bidder], changelogMode=[I])
-- +- Calc(select=[bidder AS auction], changelogMode=[I])
--    +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, bidder], metadata=[]]], fields=[auction, bidder], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- Union(all=[true], union=[auction])
-- :- Calc(select=[auction], where=[(auction > 3)])
-- :  +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, bidder], metadata=[]]], fields=[auction, bidder])(reuse_id=[1])
-- +- Calc(select=[bidder AS auction])
--    +- Reused(reference_id=[1])
