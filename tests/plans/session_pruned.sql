-- A session's keys and its time are read, too.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, ts TIMESTAMP(3), pt AS PROCTIME(),
  WATERMARK FOR ts AS ts - INTERVAL '4' SECOND) WITH ('connector' = 'fake');
EXPLAIN SELECT auction FROM TABLE(SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(ts), INTERVAL '5' SECOND));
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(auction=[$0])
-- +- LogicalTableFunctionScan(invocation=[SESSION(TABLE(#0) PARTITION BY(bidder), DESCRIPTOR(_UTF-16LE'ts'), 5000:INTERVAL)], rowType=[RecordType(BIGINT auction, BIGINT bidder, BIGINT price, STRING channel, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP_LTZ(3) *PROCTIME* pt, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--    +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[-($4, 4000:INTERVAL SECOND)])
--       +- LogicalProject(auction=[$0], bidder=[$1], price=[$2], channel=[$3], ts=[$4], pt=[PROCTIME()])
--          +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[auction])
-- +- WindowTableFunction(window=[SESSION(time_col=[ts], gap=[5 s], partition keys=[bidder])])
--    +- Exchange(distribution=[hash[bidder]])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, bidder, ts], metadata=[], watermark=[-(ts, 4000:INTERVAL SECOND)]]], fields=[auction, bidder, ts])
--
-- == Optimized Execution Plan ==
-- Calc(select=[auction])
-- +- WindowTableFunction(window=[SESSION(time_col=[ts], gap=[5 s], partition keys=[bidder])])
--    +- Exchange(distribution=[hash[bidder]])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, bidder, ts], metadata=[], watermark=[-(ts, 4000:INTERVAL SECOND)]]], fields=[auction, bidder, ts])
