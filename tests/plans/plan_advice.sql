-- What the plan itself shows to be missing.
CREATE TABLE bid (auction BIGINT, bidder BIGINT, price DECIMAL(10, 2), ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
SET 'table.optimizer.agg-phase-strategy' = 'ONE_PHASE';
EXPLAIN PLAN_ADVICE, CHANGELOG_MODE SELECT window_end, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '10' MINUTE)) GROUP BY window_start, window_end;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(window_end=[$1], n=[$2])
-- +- LogicalAggregate(group=[{0, 1}], n=[COUNT()])
--    +- LogicalProject(window_start=[$4], window_end=[$5])
--       +- LogicalTableFunctionScan(invocation=[TUMBLE(TABLE(#0), DESCRIPTOR(_UTF-16LE'ts'), 600000:INTERVAL)], rowType=[RecordType(BIGINT auction, BIGINT bidder, DECIMAL(10, 2) price, TIMESTAMP(3) *ROWTIME* ts, TIMESTAMP(3) window_start, TIMESTAMP(3) window_end, TIMESTAMP(3) *ROWTIME* window_time)])
--          +- LogicalWatermarkAssigner(rowtime=[ts], watermark=[-($3, 5000:INTERVAL SECOND)])
--             +- LogicalTableScan(table=[[default_catalog, default_database, bid]])
--
-- == Optimized Physical Plan With Advice ==
-- Calc(select=[window_end, n], changelogMode=[I])
-- +- WindowAggregate(window=[TUMBLE(time_col=[ts], size=[10 min])], select=[COUNT(*) AS n, start('w$) AS window_start, end('w$) AS window_end], changelogMode=[I], advice=[2, 3])
--    +- Exchange(distribution=[single], changelogMode=[I])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[ts], metadata=[], watermark=[-(ts, 5000:INTERVAL SECOND)]]], fields=[ts], changelogMode=[I], advice=[1])
--
-- advice[1]: [ADVICE] You might want to set 'table.exec.source.idle-timeout': a split of 'bid' without rows holds back every window that reads it.
-- advice[2]: [ADVICE] You might want to enable local-global two-phase optimization by configuring ('table.optimizer.agg-phase-strategy' to 'TWO_PHASE'): fewer rows travel between subtasks.
-- advice[3]: [ADVICE] The aggregation has no key besides the window: its last phase runs in one subtask, whatever the parallelism.
--
-- == Optimized Execution Plan ==
-- Calc(select=[window_end, n])
-- +- WindowAggregate(window=[TUMBLE(time_col=[ts], size=[10 min])], select=[COUNT(*) AS n, start('w$) AS window_start, end('w$) AS window_end])
--    +- Exchange(distribution=[single])
--       +- TableSourceScan(table=[[default_catalog, default_database, bid, project=[ts], metadata=[], watermark=[-(ts, 5000:INTERVAL SECOND)]]], fields=[ts])
