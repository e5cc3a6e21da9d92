-- Mini-batches over rows that change: the local aggregate counts what is taken away, too.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT) WITH ('connector' = 'fake');
SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '5 s'; SET 'table.exec.mini-batch.size' = '1000';
EXPLAIN CHANGELOG_MODE SELECT c, SUM(auction) AS s, COUNT(DISTINCT auction) AS x, MAX(auction) AS m, LISTAGG(ch) AS l, AVG(auction) AS a
  FROM (SELECT auction, COUNT(*) AS c, MAX(channel) AS ch FROM bid GROUP BY auction) GROUP BY c;
-- EXPECT
