-- Mini-batches: an aggregate before the exchange and one behind it.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '5 s'; SET 'table.exec.mini-batch.size' = '1000';
EXPLAIN CHANGELOG_MODE SELECT auction, COUNT(*) AS c, COUNT(DISTINCT channel) AS channels, COUNT(DISTINCT bidder) AS bidders, SUM(DISTINCT bidder) AS s,
  SUM(price) AS total, MAX(bidder) AS m, AVG(price) AS a, LISTAGG(channel) AS l, COLLECT(price) AS co FROM bid GROUP BY auction;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalAggregate(group=[{0}], c=[COUNT()], channels=[COUNT(DISTINCT $1)], bidders=[COUNT(DISTINCT $2)], s=[SUM(DISTINCT $2)], total=[SUM($3)], m=[MAX($2)], a=[AVG($3)], l=[LISTAGG($1)], co=[COLLECT($3)])
-- +- LogicalProject(auction=[$0], channel=[$2], bidder=[$1], price=[$3])
--    +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- GlobalGroupAggregate(groupBy=[auction], select=[auction, COUNT(count1$0) AS c, COUNT(distinct$0 count$1) AS channels, COUNT(distinct$1 count$2) AS bidders, SUM(distinct$1 sum$3) AS s, SUM(sum$4) AS total, MAX(max$5) AS m, AVG((sum$6, count$7)) AS a, LISTAGG((accDelimiter$8, concatAcc$9)) AS l, COLLECT(collect$10) AS co], changelogMode=[I,UA])
-- +- Exchange(distribution=[hash[auction]], changelogMode=[I])
--    +- LocalGroupAggregate(groupBy=[auction], select=[auction, COUNT(*) AS count1$0, COUNT(distinct$0 channel) AS count$1, COUNT(distinct$1 bidder) AS count$2, SUM(distinct$1 bidder) AS sum$3, SUM(price) AS sum$4, MAX(bidder) AS max$5, AVG(price) AS (sum$6, count$7), LISTAGG(channel) AS (accDelimiter$8, concatAcc$9), COLLECT(price) AS collect$10, DISTINCT(channel) AS distinct$0, DISTINCT(bidder) AS distinct$1], changelogMode=[I])
--       +- Calc(select=[auction, channel, bidder, price], changelogMode=[I])
--          +- MiniBatchAssigner(interval=[5000ms], mode=[ProcTime], changelogMode=[I])
--             +- TableSourceScan(table=[[default_catalog, default_database, bid]], fields=[auction, bidder, channel, price], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- GlobalGroupAggregate(groupBy=[auction], select=[auction, COUNT(count1$0) AS c, COUNT(distinct$0 count$1) AS channels, COUNT(distinct$1 count$2) AS bidders, SUM(distinct$1 sum$3) AS s, SUM(sum$4) AS total, MAX(max$5) AS m, AVG((sum$6, count$7)) AS a, LISTAGG((accDelimiter$8, concatAcc$9)) AS l, COLLECT(collect$10) AS co])
-- +- Exchange(distribution=[hash[auction]])
--    +- LocalGroupAggregate(groupBy=[auction], select=[auction, COUNT(*) AS count1$0, COUNT(distinct$0 channel) AS count$1, COUNT(distinct$1 bidder) AS count$2, SUM(distinct$1 bidder) AS sum$3, SUM(price) AS sum$4, MAX(bidder) AS max$5, AVG(price) AS (sum$6, count$7), LISTAGG(channel) AS (accDelimiter$8, concatAcc$9), COLLECT(price) AS collect$10, DISTINCT(channel) AS distinct$0, DISTINCT(bidder) AS distinct$1])
--       +- Calc(select=[auction, channel, bidder, price])
--          +- MiniBatchAssigner(interval=[5000ms], mode=[ProcTime])
--             +- TableSourceScan(table=[[default_catalog, default_database, bid]], fields=[auction, bidder, channel, price])
