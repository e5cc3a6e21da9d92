-- Below a window function without an aggregation a source reads what is asked for, and the time.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, ts TIMESTAMP(3), pt AS PROCTIME(),
  WATERMARK FOR ts AS ts - INTERVAL '4' SECOND) WITH ('connector' = 'fake');
EXPLAIN SELECT window_start FROM TABLE(HOP(TABLE bid, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND)) WHERE price > 5;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(window_start=[$6])
-- +- LogicalFilter(condition=[>($2, 5)])
--    +- LogicalTableFunctionScan(invocation=[HOP(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 5000:INTERVAL, 10000:INTERVAL)], rowType=[RecordType(BIGINT auction, BIGINT bidder, BIGINT price, STRING channel, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP_LTZ(3) *PROCTIME* pt, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--       +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[-($4, 4000:INTERVAL SECOND)])
--          +- LogicalProject(auction=[$0], bidder=[$1], price=[$2], channel=[$3], ts=[$4], pt=[PROCTIME()])
--             +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[window_start])
-- +- WindowTableFunction(window=[HOP(time_col=[ts], size=[10 s], slide=[5 s])])
--    +- Calc(select=[ts], where=[>(price, 5)])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[price, ts], metadata=[], watermark=[-(ts, 4000:INTERVAL SECOND)]]], fields=[price, ts])
--
-- == Optimized Execution Plan ==
-- Calc(select=[window_start])
-- +- WindowTableFunction(window=[HOP(time_col=[ts], size=[10 s], slide=[5 s])])
--    +- Calc(select=[ts], where=[(price > 5)])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[price, ts], metadata=[], watermark=[-(ts, 4000:INTERVAL SECOND)]]], fields=[price, ts])
