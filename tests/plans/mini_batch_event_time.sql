-- Mini-batches of event time, where a window waits for it.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, channel STRING, price BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) WITH ('connector' = 'fake');
SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '5 s'; SET 'table.exec.mini-batch.size' = '1000';
EXPLAIN CHANGELOG_MODE SELECT c, COUNT(*) AS n FROM (SELECT auction, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '10' SECOND))
  GROUP BY auction, window_start, window_end) GROUP BY c;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalAggregate(group=[{0}], n=[COUNT()])
-- +- LogicalProject(c=[$1])
--    +- LogicalProject(auction=[$0], c=[$3])
--       +- LogicalAggregate(group=[{0, 1, 2}], c=[COUNT()])
--          +- LogicalProject(auction=[$0], window_start=[$5], window_end=[$6])
--             +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 10000:INTERVAL)], rowType=[RecordType(BIGINT auction, BIGINT bidder, STRING channel, BIGINT price, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--                +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[-($4, 1000:INTERVAL SECOND)])
--                   +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- GlobalGroupAggregate(groupBy=[c], select=[c, COUNT(count1$0) AS n], changelogMode=[I,UA])
-- +- Exchange(distribution=[hash[c]], changelogMode=[I])
--    +- LocalGroupAggregate(groupBy=[c], select=[c, COUNT(*) AS count1$0], changelogMode=[I])
--       +- Calc(select=[c], changelogMode=[I])
--          +- GlobalWindowAggregate(groupBy=[auction], window=[TUMBLE(slice_end=[$slice_end], size=[10 s])], select=[auction, COUNT(count1$0) AS c, start('w$) AS window_start, end('w$) AS window_end], changelogMode=[I])
--             +- Exchange(distribution=[hash[auction]], changelogMode=[I])
--                +- LocalWindowAggregate(groupBy=[auction], window=[TUMBLE(time_col=[ts], size=[10 s])], select=[auction, COUNT(*) AS count1$0, slice_end('w$) AS $slice_end], changelogMode=[I])
--                   +- MiniBatchAssigner(interval=[5000ms], mode=[RowTime], changelogMode=[I])
--                      +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, ts], metadata=[], watermark=[-(ts, 1000:INTERVAL SECOND)]]], fields=[auction, ts], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- GlobalGroupAggregate(groupBy=[c], select=[c, COUNT(count1$0) AS n])
-- +- Exchange(distribution=[hash[c]])
--    +- LocalGroupAggregate(groupBy=[c], select=[c, COUNT(*) AS count1$0])
--       +- Calc(select=[c])
--          +- GlobalWindowAggregate(groupBy=[auction], window=[TUMBLE(slice_end=[$slice_end], size=[10 s])], select=[auction, COUNT(count1$0) AS c, start('w$) AS window_start, end('w$) AS window_end])
--             +- Exchange(distribution=[hash[auction]])
--                +- LocalWindowAggregate(groupBy=[auction], window=[TUMBLE(time_col=[ts], size=[10 s])], select=[auction, COUNT(*) AS count1$0, slice_end('w$) AS $slice_end])
--                   +- MiniBatchAssigner(interval=[5000ms], mode=[RowTime])
--                      +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, ts], metadata=[], watermark=[-(ts, 1000:INTERVAL SECOND)]]], fields=[auction, ts])
