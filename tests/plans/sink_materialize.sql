-- Rows of several upsert keys may have one primary key: their changes are put in order, and need their -U rows.
CREATE TABLE src (a INT, b BIGINT, c STRING) WITH ('connector' = 'fake');
CREATE TABLE snk (a BIGINT, n BIGINT, PRIMARY KEY (n) NOT ENFORCED) WITH ('connector' = 'fake', 'changelog' = 'UPSERT');
EXPLAIN CHANGELOG_MODE INSERT INTO snk SELECT a, COUNT(*) FROM src GROUP BY a ON CONFLICT DO DEDUPLICATE;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalSink(table=[default_catalog.default_database.snk], fields=[a, n])
-- +- LogicalProject(a=[CAST($0):BIGINT], n=[$1])
--    +- LogicalAggregate(group=[{0}], EXPR$1=[COUNT()])
--       +- LogicalProject(a=[$0])
--          +- LogicalTableScan(table=[[default_catalog, default_database, src]])
--
-- == Optimized Physical Plan ==
-- Sink(table=[default_catalog.default_database.snk], fields=[a, n], upsertMaterialize=[true], conflictStrategy=[DEDUPLICATE], changelogMode=[NONE])
-- +- Calc(select=[CAST(a):BIGINT AS a, EXPR$1 AS n], changelogMode=[I,UB,UA])
--    +- GroupAggregate(groupBy=[a], select=[a, COUNT(*) AS EXPR$1], changelogMode=[I,UB,UA])
--       +- Exchange(distribution=[hash[a]], changelogMode=[I])
--          +- TableSourceScan(table=[[default_catalog, default_database, src, project=[a], metadata=[]]], fields=[a], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- Sink(table=[default_catalog.default_database.snk], fields=[a, n], upsertMaterialize=[true], conflictStrategy=[DEDUPLICATE])
-- +- Calc(select=[CAST(a AS BIGINT) AS a, EXPR$1 AS n])
--    +- GroupAggregate(groupBy=[a], select=[a, COUNT(*) AS EXPR$1])
--       +- Exchange(distribution=[hash[a]])
--          +- TableSourceScan(table=[[default_catalog, default_database, src, project=[a], metadata=[]]], fields=[a])
