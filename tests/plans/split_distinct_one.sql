-- One distinct argument needs no copies of rows; the other aggregates are computed in its buckets.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.optimizer.distinct-agg.split.enabled' = 'true';
SET 'table.optimizer.distinct-agg.split.bucket-num' = '16';
EXPLAIN SELECT auction, COUNT(DISTINCT channel) AS channels, COUNT(price) AS n FROM bid GROUP BY auction;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalAggregate(group=[{0}], channels=[COUNT(DISTINCT $1)], n=[COUNT($2)])
-- +- LogicalProject(auction=[$0], channel=[$2], price=[$3])
--    +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- GroupAggregate(groupBy=[auction], partialFinalType=[FINAL], select=[auction, $SUM0_RETRACT($f2) AS channels, $SUM0_RETRACT($f3_) AS n])
-- +- Exchange(distribution=[hash[auction]])
--    +- GroupAggregate(groupBy=[auction, $f3], partialFinalType=[PARTIAL], select=[auction, $f3, COUNT(DISTINCT channel) AS $f2, COUNT(price) AS $f3_])
--       +- Exchange(distribution=[hash[auction, $f3]])
--          +- Calc(select=[auction, channel, price, MOD(%(HASH_CODE(channel), 16)) AS $f3])
--             +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, channel, price], metadata=[]]], fields=[auction, channel, price])
--
-- == Optimized Execution Plan ==
-- GroupAggregate(groupBy=[auction], partialFinalType=[FINAL], select=[auction, $SUM0_RETRACT($f2) AS channels, $SUM0_RETRACT($f3_) AS n])
-- +- Exchange(distribution=[hash[auction]])
--    +- GroupAggregate(groupBy=[auction, $f3], partialFinalType=[PARTIAL], select=[auction, $f3, COUNT(DISTINCT channel) AS $f2, COUNT(price) AS $f3_])
--       +- Exchange(distribution=[hash[auction, $f3]])
--          +- Calc(select=[auction, channel, price, MOD((HASH_CODE(channel) % 16)) AS $f3])
--             +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, channel, price], metadata=[]]], fields=[auction, channel, price])
