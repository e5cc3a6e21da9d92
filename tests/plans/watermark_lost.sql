-- A CAST ends event time; another name does not.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price DECIMAL(10, 2), ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
EXPLAIN WATERMARK SELECT CAST(ts AS TIMESTAMP(3)) AS plain, ts + INTERVAL '1' SECOND AS later FROM bid;
-- EXPECT
-- == Watermarks ==
-- Calc
-- |  event time is lost here: ts goes on only as plain TIMESTAMP(3), later TIMESTAMP(3) (a CAST or an expression over a rowtime is none)
-- +- TableSourceScan(table=[default_catalog.default_database.bid])
--       rowtime: ts
--       watermark: ts - INTERVAL '5' SECOND: 5 s behind the greatest ts of each split so far
--       idle-timeout: none: a split without rows holds back every window that reads this source (SET 'table.exec.source.idle-timeout' = '30 s')
