-- A session's keys are those of the query; results are only added, and nothing reads its bounds.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price BIGINT, ts TIMESTAMP(3), pt AS PROCTIME(),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
EXPLAIN CHANGELOG_MODE SELECT auction, bidder, COUNT(*) AS n FROM bid GROUP BY auction, SESSION(pt, INTERVAL '5' MINUTE), bidder;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(auction=[$0], bidder=[$1], n=[$4])
-- +- LogicalAggregate(group=[{0, 1, 3, 4}], n=[COUNT()])
--    +- LogicalProject(auction=[$0], bidder=[$1], pt=[$2], w$start=[$3], w$end=[$4])
--       +- LogicalTableFunctionScan(invocation=[SESSION(TABLE(#0) PARTITION BY(auction, bidder), DESCRIPTOR(_UTF-16LE'pt'), 300000:INTERVAL)], rowType=[RecordType(BIGINT auction, BIGINT bidder, TIMESTAMP_LTZ(3) *PROCTIME* pt, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP_LTZ(3) *PROCTIME* window_time)])
--          +- LogicalProject(auction=[$0], bidder=[$1], pt=[$4])
--             +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[-($3, 5000:INTERVAL SECOND)])
--                +- LogicalProject(auction=[$0], bidder=[$1], price=[$2], ts=[$3], pt=[PROCTIME()])
--                   +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[auction, bidder, n], changelogMode=[I])
-- +- GroupWindowAggregate(groupBy=[auction, bidder], window=[SessionGroupWindow('w$, pt, 300000)], properties=[w$start, w$end, w$proctime], select=[auction, bidder, COUNT(*) AS n, start('w$) AS w$start, end('w$) AS w$end, proctime('w$) AS w$proctime], changelogMode=[I])
--    +- Exchange(distribution=[hash[auction, bidder]], changelogMode=[I])
--       +- Calc(select=[auction, bidder, PROCTIME() AS pt], changelogMode=[I])
--          +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, bidder, ts], metadata=[], watermark=[-(ts, 5000:INTERVAL SECOND)]]], fields=[auction, bidder, ts], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- Calc(select=[auction, bidder, n])
-- +- GroupWindowAggregate(groupBy=[auction, bidder], window=[SessionGroupWindow('w$, pt, 300000)], properties=[w$start, w$end, w$proctime], select=[auction, bidder, COUNT(*) AS n, start('w$) AS w$start, end('w$) AS w$end, proctime('w$) AS w$proctime])
--    +- Exchange(distribution=[hash[auction, bidder]])
--       +- Calc(select=[auction, bidder, PROCTIME() AS pt])
--          +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[auction, bidder, ts], metadata=[], watermark=[-(ts, 5000:INTERVAL SECOND)]]], fields=[auction, bidder, ts])
