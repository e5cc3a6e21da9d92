-- Windows of GROUP BY: the function goes into the aggregate, its bounds are columns where something reads them.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price BIGINT, ts TIMESTAMP(3), pt AS PROCTIME(),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
EXPLAIN CHANGELOG_MODE SELECT bidder, HOP_START(ts, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE) AS s,
  HOP_ROWTIME(ts, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE) AS t, SUM(price) AS total
FROM bid GROUP BY bidder, HOP(ts, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE);
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(bidder=[$0], s=[$1], t=[$3], total=[$4])
-- +- LogicalAggregate(group=[{0, 3, 4, 5}], total=[SUM($1)])
--    +- LogicalTableFunctionScan(invocation=[HOP(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 300000:INTERVAL, 600000:INTERVAL)], rowType=[RecordType(BIGINT bidder, BIGINT price, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--       +- LogicalProject(bidder=[$1], price=[$2], ts=[$3])
--          +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[-($3, 5000:INTERVAL SECOND)])
--             +- LogicalProject(auction=[$0], bidder=[$1], price=[$2], ts=[$3], pt=[PROCTIME()])
--                +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[bidder, w$start AS s, w$rowtime AS t, total], changelogMode=[I])
-- +- GroupWindowAggregate(groupBy=[bidder], window=[SlidingGroupWindow('w$, ts, 600000, 300000)], properties=[w$start, w$end, w$rowtime, w$proctime], select=[bidder, SUM(price) AS total, start('w$) AS w$start, end('w$) AS w$end, rowtime('w$) AS w$rowtime, proctime('w$) AS w$proctime], changelogMode=[I])
--    +- Exchange(distribution=[hash[bidder]], changelogMode=[I])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[bidder, price, ts], metadata=[], watermark=[-(ts, 5000:INTERVAL SECOND)]]], fields=[bidder, price, ts], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- Calc(select=[bidder, w$start AS s, w$rowtime AS t, total])
-- +- GroupWindowAggregate(groupBy=[bidder], window=[SlidingGroupWindow('w$, ts, 600000, 300000)], properties=[w$start, w$end, w$rowtime, w$proctime], select=[bidder, SUM(price) AS total, start('w$) AS w$start, end('w$) AS w$end, rowtime('w$) AS w$rowtime, proctime('w$) AS w$proctime])
--    +- Exchange(distribution=[hash[bidder]])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[bidder, price, ts], metadata=[], watermark=[-(ts, 5000:INTERVAL SECOND)]]], fields=[bidder, price, ts])
