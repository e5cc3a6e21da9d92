-- Early and late results of a window of GROUP BY: they are updated.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price BIGINT, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
SET 'table.exec.emit.early-fire.enabled' = 'true';
SET 'table.exec.emit.early-fire.delay' = '1 s';
SET 'table.exec.emit.late-fire.enabled' = 'true';
SET 'table.exec.emit.late-fire.delay' = '0 s';
SET 'table.exec.emit.allow-lateness' = '1 h';
EXPLAIN CHANGELOG_MODE SELECT COUNT(*) AS n FROM bid GROUP BY TUMBLE(ts, INTERVAL '5' MINUTE);
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(n=[$3])
-- +- LogicalAggregate(group=[{1, 2, 3}], n=[COUNT()])
--    +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 300000:INTERVAL)], rowType=[RecordType(TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--       +- LogicalProject(ts=[$3])
--          +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[-($3, 5000:INTERVAL SECOND)])
--             +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[n], changelogMode=[I,UB,UA])
-- +- GroupWindowAggregate(window=[TumblingGroupWindow('w$, ts, 300000)], properties=[w$start, w$end, w$rowtime, w$proctime], select=[COUNT(*) AS n, start('w$) AS w$start, end('w$) AS w$end, rowtime('w$) AS w$rowtime, proctime('w$) AS w$proctime], emit=[early delay 1 s, late no delay, lateness 1 h], changelogMode=[I,UB,UA])
--    +- Exchange(distribution=[single], changelogMode=[I])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[ts], metadata=[], watermark=[-(ts, 5000:INTERVAL SECOND)]]], fields=[ts], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- Calc(select=[n])
-- +- GroupWindowAggregate(window=[TumblingGroupWindow('w$, ts, 300000)], properties=[w$start, w$end, w$rowtime, w$proctime], select=[COUNT(*) AS n, start('w$) AS w$start, end('w$) AS w$end, rowtime('w$) AS w$rowtime, proctime('w$) AS w$proctime], emit=[early delay 1 s, late no delay, lateness 1 h])
--    +- Exchange(distribution=[single])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[ts], metadata=[], watermark=[-(ts, 5000:INTERVAL SECOND)]]], fields=[ts])
