-- Mini-batches over rows that change: the local aggregate counts what is taken away, too.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '5 s'; SET 'table.exec.mini-batch.size' = '1000';
EXPLAIN CHANGELOG_MODE SELECT c, SUM(auction) AS s, COUNT(DISTINCT auction) AS x, MAX(auction) AS m, LISTAGG(ch) AS l, AVG(auction) AS a
  FROM (SELECT auction, COUNT(*) AS c, MAX(channel) AS ch FROM bid GROUP BY auction) GROUP BY c;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalAggregate(group=[{0}], s=[SUM($1)], x=[COUNT(DISTINCT $1)], m=[MAX($1)], l=[LISTAGG($2)], a=[AVG($1)])
-- +- LogicalProject(c=[$1], auction=[$0], ch=[$2])
--    +- LogicalAggregate(group=[{0}], c=[COUNT()], ch=[MAX($1)])
--       +- LogicalProject(auction=[$0], channel=[$2])
--          +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- GlobalGroupAggregate(groupBy=[c], select=[c, SUM_RETRACT((sum$0, count$1)) AS s, COUNT_RETRACT(distinct$0 count$2) AS x, MAX_RETRACT(max$3) AS m, LISTAGG_RETRACT(listagg$4) AS l, AVG_RETRACT((sum$5, count$6)) AS a], changelogMode=[I,UA,D])
-- +- Exchange(distribution=[hash[c]], changelogMode=[I])
--    +- LocalGroupAggregate(groupBy=[c], select=[c, SUM_RETRACT(auction) AS (sum$0, count$1), COUNT_RETRACT(distinct$0 auction) AS count$2, MAX_RETRACT(auction) AS max$3, LISTAGG_RETRACT(ch) AS listagg$4, AVG_RETRACT(auction) AS (sum$5, count$6), COUNT_RETRACT(*) AS count1$7, DISTINCT(auction) AS distinct$0], changelogMode=[I])
--       +- Calc(select=[c, auction, ch], changelogMode=[I,UB,UA])
--          +- GlobalGroupAggregate(groupBy=[auction], select=[auction, COUNT(count1$0) AS c, MAX(max$1) AS ch], changelogMode=[I,UB,UA])
--             +- Exchange(distribution=[hash[auction]], changelogMode=[I])
--                +- LocalGroupAggregate(groupBy=[auction], select=[auction, COUNT(*) AS count1$0, MAX(channel) AS max$1], changelogMode=[I])
--                   +- MiniBatchAssigner(interval=[5000ms], mode=[ProcTime], changelogMode=[I])
--                      +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, channel], metadata=[]]], fields=[auction, channel], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- GlobalGroupAggregate(groupBy=[c], select=[c, SUM_RETRACT((sum$0, count$1)) AS s, COUNT_RETRACT(distinct$0 count$2) AS x, MAX_RETRACT(max$3) AS m, LISTAGG_RETRACT(listagg$4) AS l, AVG_RETRACT((sum$5, count$6)) AS a])
-- +- Exchange(distribution=[hash[c]])
--    +- LocalGroupAggregate(groupBy=[c], select=[c, SUM_RETRACT(auction) AS (sum$0, count$1), COUNT_RETRACT(distinct$0 auction) AS count$2, MAX_RETRACT(auction) AS max$3, LISTAGG_RETRACT(ch) AS listagg$4, AVG_RETRACT(auction) AS (sum$5, count$6), COUNT_RETRACT(*) AS count1$7, DISTINCT(auction) AS distinct$0])
--       +- Calc(select=[c, auction, ch])
--          +- GlobalGroupAggregate(groupBy=[auction], select=[auction, COUNT(count1$0) AS c, MAX(max$1) AS ch])
--             +- Exchange(distribution=[hash[auction]])
--                +- LocalGroupAggregate(groupBy=[auction], select=[auction, COUNT(*) AS count1$0, MAX(channel) AS max$1])
--                   +- MiniBatchAssigner(interval=[5000ms], mode=[ProcTime])
--                      +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, channel], metadata=[]]], fields=[auction, channel])
