-- One phase where the session asks for it.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '5 s'; SET 'table.exec.mini-batch.size' = '1000';
SET 'table.optimizer.agg-phase-strategy' = 'ONE_PHASE';
EXPLAIN CHANGELOG_MODE SELECT auction, SUM(price) AS s FROM bid GROUP BY auction;
-- EXPECT
