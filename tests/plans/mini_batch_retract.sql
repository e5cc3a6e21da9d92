-- Mini-batches over rows that change: the local aggregate counts what is taken away, too.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '5 s'; SET 'table.exec.mini-batch.size' = '1000';
EXPLAIN CHANGELOG_MODE SELECT c, SUM(auction) AS s, COUNT(DISTINCT auction) AS x, MAX(auction) AS m, LISTAGG(ch) AS l, AVG(auction) AS a
  FROM (SELECT auction, COUNT(*) AS c, MAX(channel) AS ch FROM bid GROUP BY auction) GROUP BY c;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(c=[$0], s=[$1], x=[$2], m=[$3], l=[$4], a=[$5])
-- +- LogicalAggregate(group=[{0}], EXPR$0=[SUM($1)], EXPR$1=[COUNT(DISTINCT $1)], EXPR$2=[MAX($1)], EXPR$3=[LISTAGG($2)], EXPR$4=[AVG($1)])
--    +- LogicalProject(c=[$1], auction=[$0], ch=[$2])
--       +- LogicalProject(auction=[$0], c=[$1], ch=[$2])
--          +- LogicalAggregate(group=[{0}], EXPR$0=[COUNT()], EXPR$1=[MAX($1)])
--             +- LogicalProject(auction=[$0], channel=[$2])
--                +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- GlobalGroupAggregate(groupBy=[c], select=[c, SUM_RETRACT((sum$0, count$1)) AS EXPR$0, COUNT_RETRACT(distinct$0 count$2) AS EXPR$1, MAX_RETRACT(max$3) AS EXPR$2, LISTAGG_RETRACT(listagg$4) AS EXPR$3, AVG_RETRACT((sum$5, count$6)) AS EXPR$4], changelogMode=[I,UA,D])
-- +- Exchange(distribution=[hash[c]], changelogMode=[I])
--    +- LocalGroupAggregate(groupBy=[c], select=[c, SUM_RETRACT(auction) AS (sum$0, count$1), COUNT_RETRACT(distinct$0 auction) AS count$2, MAX_RETRACT(auction) AS max$3, LISTAGG_RETRACT(ch) AS listagg$4, AVG_RETRACT(auction) AS (sum$5, count$6), COUNT_RETRACT(*) AS count1$7, DISTINCT(auction) AS distinct$0], changelogMode=[I])
--       +- Calc(select=[EXPR$0 AS c, auction, EXPR$1 AS ch], changelogMode=[I,UB,UA])
--          +- GlobalGroupAggregate(groupBy=[auction], select=[auction, COUNT(count1$0) AS EXPR$0, MAX(max$1) AS EXPR$1], changelogMode=[I,UB,UA])
--             +- Exchange(distribution=[hash[auction]], changelogMode=[I])
--                +- LocalGroupAggregate(groupBy=[auction], select=[auction, COUNT(*) AS count1$0, MAX(channel) AS max$1], changelogMode=[I])
--                   +- MiniBatchAssigner(interval=[5000ms], mode=[ProcTime], changelogMode=[I])
--                      +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, channel], metadata=[]]], fields=[auction, channel], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- GlobalGroupAggregate(groupBy=[c], select=[c, SUM_RETRACT((sum$0, count$1)) AS EXPR$0, COUNT_RETRACT(distinct$0 count$2) AS EXPR$1, MAX_RETRACT(max$3) AS EXPR$2, LISTAGG_RETRACT(listagg$4) AS EXPR$3, AVG_RETRACT((sum$5, count$6)) AS EXPR$4])
-- +- Exchange(distribution=[hash[c]])
--    +- LocalGroupAggregate(groupBy=[c], select=[c, SUM_RETRACT(auction) AS (sum$0, count$1), COUNT_RETRACT(distinct$0 auction) AS count$2, MAX_RETRACT(auction) AS max$3, LISTAGG_RETRACT(ch) AS listagg$4, AVG_RETRACT(auction) AS (sum$5, count$6), COUNT_RETRACT(*) AS count1$7, DISTINCT(auction) AS distinct$0])
--       +- Calc(select=[EXPR$0 AS c, auction, EXPR$1 AS ch])
--          +- GlobalGroupAggregate(groupBy=[auction], select=[auction, COUNT(count1$0) AS EXPR$0, MAX(max$1) AS EXPR$1])
--             +- Exchange(distribution=[hash[auction]])
--                +- LocalGroupAggregate(groupBy=[auction], select=[auction, COUNT(*) AS count1$0, MAX(channel) AS max$1])
--                   +- MiniBatchAssigner(interval=[5000ms], mode=[ProcTime])
--                      +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, channel], metadata=[]]], fields=[auction, channel])
