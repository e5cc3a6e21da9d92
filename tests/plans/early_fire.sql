-- Early results change what the aggregate emits.
CREATE TABLE bid (auction BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
SET 'table.exec.emit.early-fire.enabled' = 'true';
SET 'table.exec.emit.early-fire.delay' = '10 s';
EXPLAIN CHANGELOG_MODE SELECT auction, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY auction, window_start, window_end;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(auction=[$0], n=[$3])
-- +- LogicalAggregate(group=[{0, 1, 2}], n=[COUNT()])
--    +- LogicalProject(auction=[$0], window_start=[$2], window_end=[$3])
--       +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 60000:INTERVAL)], rowType=[RecordType(BIGINT auction, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--          +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$1])
--             +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[auction, n], changelogMode=[I,UB,UA])
-- +- WindowAggregate(groupBy=[auction], window=[TUMBLE(time_col=[ts], size=[1 min])], select=[auction, COUNT(*) AS n, start('w$) AS window_start, end('w$) AS window_end], emit=[early delay 10 s], changelogMode=[I,UB,UA])
--    +- Exchange(distribution=[hash[auction]], changelogMode=[I])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, ts], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- Calc(select=[auction, n])
-- +- WindowAggregate(groupBy=[auction], window=[TUMBLE(time_col=[ts], size=[1 min])], select=[auction, COUNT(*) AS n, start('w$) AS window_start, end('w$) AS window_end], emit=[early delay 10 s])
--    +- Exchange(distribution=[hash[auction]])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, ts])
