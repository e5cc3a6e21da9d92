-- Watermarks pass through a window; window_time is event time.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price DECIMAL(10, 2), ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
SET 'table.exec.source.idle-timeout' = '30 s';
CREATE VIEW minutes AS SELECT window_time AS rt, auction, COUNT(*) AS n FROM TABLE(HOP(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE))
GROUP BY window_start, window_end, window_time, auction;
EXPLAIN WATERMARK SELECT window_start, window_end, SUM(n) AS n FROM TABLE(TUMBLE(TABLE minutes, DESCRIPTOR(rt), INTERVAL '1' HOUR)) GROUP BY window_start, window_end;
-- EXPECT
-- == Watermarks ==
-- Calc
-- +- GlobalWindowAggregate(window=[TUMBLE(size=[1 h])])
--    |  watermark: `bid`.ts - 5 s
--    |  fires: each window of 1 h, when the watermark reaches window_end - 1 ms
--    |    that is when `bid` has given a row with ts >= window_end + 5 s - 1 ms
--    |    from every split that is not idle, or when all sources have ended
--    |    for instance the window that ends at 12:00:00 fires with the first row at or after 12:00:04.999
--    |  late: rows whose windows have all fired are dropped and counted (SET 'table.exec.late-records.table' = '..' keeps them)
--    |  event time ends here: group by window_time too, and select it, to make windows over the result
--    +- Exchange(distribution=[single])
--       |  watermark: the smallest of all subtasks that it reads
--       +- LocalWindowAggregate(window=[TUMBLE(size=[1 h])])
--          |  hands partial results on whenever the watermark moves; fires nothing
--          +- Calc
--             |  event time: window_time goes on as rt
--             +- GlobalWindowAggregate(groupBy=[auction], window=[HOP(size=[5 min], slide=[1 min])])
--                |  watermark: `bid`.ts - 5 s
--                |  fires: each window of 5 min, one every 1 min, when the watermark reaches window_end - 1 ms
--                |    that is when `bid` has given a row with ts >= window_end + 5 s - 1 ms
--                |    from every split that is not idle, or when all sources have ended
--                |    for instance the window that ends at 12:00:00 fires with the first row at or after 12:00:04.999
--                |  late: rows whose windows have all fired are dropped and counted (SET 'table.exec.late-records.table' = '..' keeps them)
--                |  event time goes on as window_time; watermarks pass through
--                +- Exchange(distribution=[hash[auction]])
--                   |  watermark: the smallest of all subtasks that it reads
--                   +- LocalWindowAggregate(groupBy=[auction], window=[HOP(size=[5 min], slide=[1 min])])
--                      |  hands partial results on whenever the watermark moves; fires nothing
--                      +- TableSourceScan(table=[default_catalog.default_database.bid])
--                            rowtime: ts
--                            watermark: ts - INTERVAL '5' SECOND: 5 s behind the greatest ts of each split so far
--                            idle-timeout: 30 s: a split without a row for so long holds nobody back until it has one again
