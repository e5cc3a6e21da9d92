-- A window over event time runs in two phases; the window function goes into the aggregate.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price DECIMAL(10, 2), ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
EXPLAIN CHANGELOG_MODE SELECT window_start, window_end, bidder, COUNT(*) AS n, SUM(price) AS total
FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '10' MINUTES)) WHERE price > 1
GROUP BY window_start, window_end, bidder HAVING COUNT(*) > 2;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalFilter(condition=[>($3, 2)])
-- +- LogicalAggregate(group=[{0, 1, 2}], n=[COUNT()], total=[SUM($3)])
--    +- LogicalProject(window_start=[$4], window_end=[$5], bidder=[$1], price=[$2])
--       +- LogicalFilter(condition=[>(CAST($2):DECIMAL(12, 2), 1.00)])
--          +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 600000:INTERVAL)], rowType=[RecordType(BIGINT auction, BIGINT bidder, DECIMAL(10, 2) price, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--             +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[-($3, 5000:INTERVAL SECOND)])
--                +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[window_start, window_end, bidder, n, total], where=[>(n, 2)], changelogMode=[I])
-- +- GlobalWindowAggregate(groupBy=[bidder], window=[TUMBLE(slice_end=[$slice_end], size=[10 min])], select=[bidder, COUNT(count1$0) AS n, SUM(sum$1) AS total, start('w$) AS window_start, end('w$) AS window_end], changelogMode=[I])
--    +- Exchange(distribution=[hash[bidder]], changelogMode=[I])
--       +- LocalWindowAggregate(groupBy=[bidder], window=[TUMBLE(time_col=[ts], size=[10 min])], select=[bidder, COUNT(*) AS count1$0, SUM(price) AS sum$1, slice_end('w$) AS $slice_end], changelogMode=[I])
--          +- Calc(select=[bidder, price, ts], where=[>(CAST(price):DECIMAL(12, 2), 1.00)], changelogMode=[I])
--             +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[bidder, price, ts], metadata=[], watermark=[-(ts, 5000:INTERVAL SECOND)]]], fields=[bidder, price, ts], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- Calc(select=[window_start, window_end, bidder, n, total], where=[(n > 2)])
-- +- GlobalWindowAggregate(groupBy=[bidder], window=[TUMBLE(slice_end=[$slice_end], size=[10 min])], select=[bidder, COUNT(count1$0) AS n, SUM(sum$1) AS total, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[hash[bidder]])
--       +- LocalWindowAggregate(groupBy=[bidder], window=[TUMBLE(time_col=[ts], size=[10 min])], select=[bidder, COUNT(*) AS count1$0, SUM(price) AS sum$1, slice_end('w$) AS $slice_end])
--          +- Calc(select=[bidder, price, ts], where=[(CAST(price AS DECIMAL(12, 2)) > 1.00)])
--             +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[bidder, price, ts], metadata=[], watermark=[-(ts, 5000:INTERVAL SECOND)]]], fields=[bidder, price, ts])
