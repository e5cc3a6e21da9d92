-- A window function without an aggregate is a node of its own.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
EXPLAIN SELECT auction, window_start FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) WHERE bidder > 1;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(auction=[$0], window_start=[$3])
-- +- LogicalFilter(condition=[>($1, 1)])
--    +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 60000:INTERVAL)], rowType=[RecordType(BIGINT auction, BIGINT bidder, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--       +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$2])
--          +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[auction, window_start], where=[>(bidder, 1)])
-- +- WindowTableFunction(window=[TUMBLE(time_col=[ts], size=[1 min])])
--    +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, bidder, ts])
--
-- == Optimized Execution Plan ==
-- Calc(select=[auction, window_start], where=[(bidder > 1)])
-- +- WindowTableFunction(window=[TUMBLE(time_col=[ts], size=[1 min])])
--    +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, bidder, ts])
