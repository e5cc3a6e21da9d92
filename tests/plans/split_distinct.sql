-- DISTINCT aggregates over two levels: buckets of the distinct values first. With several arguments each row is copied.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.optimizer.distinct-agg.split.enabled' = 'true';
EXPLAIN CHANGELOG_MODE SELECT auction, COUNT(DISTINCT channel) AS channels, COUNT(DISTINCT bidder) FILTER (WHERE price > 1) AS bidders,
  SUM(price) AS total, MAX(bidder) AS last FROM bid GROUP BY auction;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalAggregate(group=[{0}], channels=[COUNT(DISTINCT $1)], bidders=[COUNT(DISTINCT $2) FILTER $3], total=[SUM($4)], last=[MAX($2)])
-- +- LogicalProject(auction=[$0], channel=[$2], bidder=[$1], $f3=[IS TRUE(>($3, 1))], price=[$3])
--    +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- GroupAggregate(groupBy=[auction], partialFinalType=[FINAL], select=[auction, $SUM0_RETRACT($f3) AS channels, $SUM0_RETRACT($f4) AS bidders, SUM_RETRACT($f5_) AS total, MAX($f6_) AS last], changelogMode=[I,UA,D])
-- +- Exchange(distribution=[hash[auction]], changelogMode=[I,UB,UA])
--    +- GroupAggregate(groupBy=[auction, $f5, $f6], partialFinalType=[PARTIAL], select=[auction, $f5, $f6, COUNT(DISTINCT channel) FILTER $g_1 AS $f3, COUNT(DISTINCT bidder) FILTER $g_2 AS $f4, SUM(price) FILTER $g_3 AS $f5_, MAX(bidder) FILTER $g_20 AS $f6_], changelogMode=[I,UB,UA])
--       +- Exchange(distribution=[hash[auction, $f5, $f6]], changelogMode=[I])
--          +- Calc(select=[auction, channel, bidder, $f3, price, $f5, $f6, =($e, 1) AS $g_1, AND(=($e, 2), $f3) AS $g_2, =($e, 3) AS $g_3, =($e, 2) AS $g_20], changelogMode=[I])
--             +- Expand(projects=[{auction, channel, bidder, $f3, price, $f5, null AS $f6, 1 AS $e}, {auction, channel, bidder, $f3, price, null AS $f5, $f6, 2 AS $e}, {auction, channel, bidder, $f3, price, null AS $f5, null AS $f6, 3 AS $e}], changelogMode=[I])
--                +- Calc(select=[auction, channel, bidder, $f3, price, MOD(%(HASH_CODE(channel), 1024)) AS $f5, MOD(%(HASH_CODE(CAST(bidder):VARCHAR(2147483647)), 1024)) AS $f6], changelogMode=[I])
--                   +- Calc(select=[auction, channel, bidder, IS TRUE(>(price, 1)) AS $f3, price], changelogMode=[I])
--                      +- TableSourceScan(table=[[default_catalog, default_database, bid]], fields=[auction, bidder, channel, price], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- GroupAggregate(groupBy=[auction], partialFinalType=[FINAL], select=[auction, $SUM0_RETRACT($f3) AS channels, $SUM0_RETRACT($f4) AS bidders, SUM_RETRACT($f5_) AS total, MAX($f6_) AS last])
-- +- Exchange(distribution=[hash[auction]])
--    +- GroupAggregate(groupBy=[auction, $f5, $f6], partialFinalType=[PARTIAL], select=[auction, $f5, $f6, COUNT(DISTINCT channel) FILTER $g_1 AS $f3, COUNT(DISTINCT bidder) FILTER $g_2 AS $f4, SUM(price) FILTER $g_3 AS $f5_, MAX(bidder) FILTER $g_20 AS $f6_])
--       +- Exchange(distribution=[hash[auction, $f5, $f6]])
--          +- Calc(select=[auction, channel, bidder, $f3, price, $f5, $f6, ($e = 1) AS $g_1, (($e = 2) AND $f3) AS $g_2, ($e = 3) AS $g_3, ($e = 2) AS $g_20])
--             +- Expand(projects=[{auction, channel, bidder, $f3, price, $f5, null AS $f6, 1 AS $e}, {auction, channel, bidder, $f3, price, null AS $f5, $f6, 2 AS $e}, {auction, channel, bidder, $f3, price, null AS $f5, null AS $f6, 3 AS $e}])
--                +- Calc(select=[auction, channel, bidder, $f3, price, MOD((HASH_CODE(channel) % 1024)) AS $f5, MOD((HASH_CODE(CAST(bidder AS VARCHAR(2147483647))) % 1024)) AS $f6])
--                   +- Calc(select=[auction, channel, bidder, (price > 1) IS TRUE AS $f3, price])
--                      +- TableSourceScan(table=[[default_catalog, default_database, bid]], fields=[auction, bidder, channel, price])
