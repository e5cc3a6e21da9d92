-- Rows that come too late go to a table of their own.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
CREATE TABLE late (auction BIGINT, bidder BIGINT, ts TIMESTAMP(3)) WITH ('connector' = 'fake');
CREATE TABLE s (auction BIGINT, n BIGINT) WITH ('connector' = 'fake');
SET 'table.exec.late-records.table' = 'late';
EXPLAIN INSERT INTO s SELECT auction, COUNT(*) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY auction, window_start, window_end;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalSink(table=[default_catalog.default_database.s], fields=[auction, n])
-- +- LogicalProject(auction=[$0], EXPR$1=[$3])
--    +- LogicalAggregate(group=[{0, 1, 2}], EXPR$1=[COUNT()])
--       +- LogicalProject(auction=[$0], window_start=[$3], window_end=[$4])
--          +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 60000:INTERVAL)], rowType=[RecordType(BIGINT auction, BIGINT bidder, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--             +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$2])
--                +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Sink(table=[default_catalog.default_database.s], fields=[auction, n])
-- +- Calc(select=[auction, EXPR$1 AS n])
--    +- WindowAggregate(groupBy=[auction], window=[TUMBLE(time_col=[ts], size=[1 min])], select=[auction, COUNT(*) AS EXPR$1, start('w$) AS window_start, end('w$) AS window_end])
--       +- Exchange(distribution=[hash[auction]])
--          +- Calc(select=[auction AS $late$auction, bidder AS $late$bidder, ts AS $late$ts, auction, ts])
--             +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, bidder, ts])
--
-- Sink(table=[default_catalog.default_database.late], fields=[auction, bidder, ts])
-- +- Calc(select=[$late$auction AS auction, $late$bidder AS bidder, $late$ts AS ts])
--    +- LateRecords(of=[WindowAggregate(groupBy=[auction], window=[TUMBLE(time_col=[ts], size=[1 min])], select=[auction, COUNT(*) AS EXPR$1, start('w$) AS window_start, end('w$) AS window_end])])
--
-- == Optimized Execution Plan ==
-- Sink(table=[default_catalog.default_database.s], fields=[auction, n])
-- +- Calc(select=[auction, EXPR$1 AS n])
--    +- WindowAggregate(groupBy=[auction], window=[TUMBLE(time_col=[ts], size=[1 min])], select=[auction, COUNT(*) AS EXPR$1, start('w$) AS window_start, end('w$) AS window_end])
--       +- Exchange(distribution=[hash[auction]])
--          +- Calc(select=[auction AS $late$auction, bidder AS $late$bidder, ts AS $late$ts, auction, ts])
--             +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, bidder, ts])
--
-- Sink(table=[default_catalog.default_database.late], fields=[auction, bidder, ts])
-- +- Calc(select=[$late$auction AS auction, $late$bidder AS bidder, $late$ts AS ts])
--    +- LateRecords(of=[WindowAggregate(groupBy=[auction], window=[TUMBLE(time_col=[ts], size=[1 min])], select=[auction, COUNT(*) AS EXPR$1, start('w$) AS window_start, end('w$) AS window_end])])
