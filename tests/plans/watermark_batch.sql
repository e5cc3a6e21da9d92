-- A batch has none.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price DECIMAL(10, 2), ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
SET 'execution.runtime-mode' = 'BATCH';
EXPLAIN WATERMARK VALUES (1);
-- EXPECT
-- == Watermarks ==
-- Batch: there are no watermarks. Every row is read before the first window ends, so none is late.
