-- Mini-batches: an aggregate before the exchange and one behind it.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '5 s'; SET 'table.exec.mini-batch.size' = '1000';
EXPLAIN CHANGELOG_MODE SELECT auction, COUNT(*) AS c, COUNT(DISTINCT channel) AS channels, COUNT(DISTINCT bidder) AS bidders, SUM(DISTINCT bidder) AS s,
  SUM(price) AS total, MAX(bidder) AS m, AVG(price) AS a, LISTAGG(channel) AS l, COLLECT(price) AS co FROM bid GROUP BY auction;
-- EXPECT
