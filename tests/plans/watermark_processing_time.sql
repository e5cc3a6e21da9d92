-- Processing time needs no watermark, and a table may have none.
CREATE TABLE t (a INT, pt AS PROCTIME()) WITH ('connector' = 'fake');
EXPLAIN WATERMARK SELECT window_end, a, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(pt), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, a;
-- EXPECT
-- == Watermarks ==
-- Calc
-- +- WindowAggregate(groupBy=[a], window=[TUMBLE(size=[1 min])])
--    |  watermark: not used: the windows are over processing time
--    |  fires: each window when the clock of the machine reaches window_end; no row is late
--    +- Exchange(distribution=[hash[a]])
--       +- Calc
--          +- TableSourceScan(table=[default_catalog.default_database.t])
--                watermark: none: table 't' declares none (WATERMARK FOR ts AS ts - INTERVAL '5' SECOND), so no event-time window can read it
