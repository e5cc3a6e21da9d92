-- The two levels, each in two phases.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '5 s'; SET 'table.exec.mini-batch.size' = '1000';
SET 'table.optimizer.distinct-agg.split.enabled' = 'true';
SET 'table.optimizer.incremental-agg-enabled' = 'false';
EXPLAIN CHANGELOG_MODE SELECT auction, COUNT(DISTINCT channel) AS channels, SUM(price) AS total, MAX(channel) AS m FROM bid GROUP BY auction;
-- EXPECT
