-- A sink by the same key reads a source by key as it is.
CREATE TABLE up (a INT, b BIGINT, PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'fake', 'changelog' = 'UPSERT');
CREATE TABLE snk (a INT, b BIGINT, PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'fake', 'changelog' = 'UPSERT');
EXPLAIN CHANGELOG_MODE INSERT INTO snk SELECT a, b + 1 FROM up;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalSink(table=[default_catalog.default_database.snk], fields=[a, b])
-- +- LogicalProject(a=[$0], EXPR$1=[+($1, 1)])
--    +- LogicalTableScan(table=[[default_catalog, default_database, up]])
--
-- == Optimized Physical Plan ==
-- Sink(table=[default_catalog.default_database.snk], fields=[a, b], changelogMode=[NONE])
-- +- Calc(select=[a, +(b, 1) AS b], changelogMode=[I,UA,D])
--    +- TableSourceScan(table=[[default_catalog, default_database, up]], fields=[a, b], changelogMode=[I,UA,D])
--
-- == Optimized Execution Plan ==
-- Sink(table=[default_catalog.default_database.snk], fields=[a, b])
-- +- Calc(select=[a, (b + 1) AS b])
--    +- TableSourceScan(table=[[default_catalog, default_database, up]], fields=[a, b])
