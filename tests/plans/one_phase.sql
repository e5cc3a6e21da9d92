CREATE TABLE bid (auction BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
SET 'table.optimizer.agg-phase-strategy' = 'ONE_PHASE';
EXPLAIN SELECT auction, window_end, MAX(auction) FROM TABLE(CUMULATE(TABLE bid, DESCRIPTOR(ts), INTERVAL '2' MINUTES, INTERVAL '10' MINUTES))
GROUP BY auction, window_start, window_end;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(auction=[$0], window_end=[$2], EXPR$2=[$3])
-- +- LogicalAggregate(group=[{0, 1, 2}], EXPR$2=[MAX($0)])
--    +- LogicalProject(auction=[$0], window_start=[$2], window_end=[$3])
--       +- LogicalTableFunctionScan(invocation=[CUMULATE(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 120000:INTERVAL, 600000:INTERVAL)], rowType=[RecordType(BIGINT auction, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--          +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[$1])
--             +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[auction, window_end, EXPR$2])
-- +- WindowAggregate(groupBy=[auction], window=[CUMULATE(time_col=[ts], max_size=[10 min], step=[2 min])], select=[auction, MAX(auction) AS EXPR$2, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[hash[auction]])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, ts])
--
-- == Optimized Execution Plan ==
-- Calc(select=[auction, window_end, EXPR$2])
-- +- WindowAggregate(groupBy=[auction], window=[CUMULATE(time_col=[ts], max_size=[10 min], step=[2 min])], select=[auction, MAX(auction) AS EXPR$2, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[hash[auction]])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, watermark=[ts]]], fields=[auction, ts])
