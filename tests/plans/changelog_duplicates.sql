-- Changes that may come twice are normalised by the primary key, without their -U rows.
CREATE TABLE cdc (a INT, b BIGINT, PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'fake', 'changelog' = 'ALL');
SET 'table.exec.source.cdc-events-duplicate' = 'true';
EXPLAIN CHANGELOG_MODE SELECT b FROM cdc;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(b=[$1])
-- +- LogicalTableScan(table=[[default_catalog, default_database, cdc]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[b], changelogMode=[I,UA,D])
-- +- ChangelogNormalize(key=[a], changelogMode=[I,UA,D])
--    +- Exchange(distribution=[hash[a]], changelogMode=[I,UA,D])
--       +- DropUpdateBefore(changelogMode=[I,UA,D])
--          +- TableSourceScan(table=[[default_catalog, default_database, cdc]], fields=[a, b], changelogMode=[I,UB,UA,D])
--
-- == Optimized Execution Plan ==
-- Calc(select=[b])
-- +- ChangelogNormalize(key=[a])
--    +- Exchange(distribution=[hash[a]])
--       +- DropUpdateBefore()
--          +- TableSourceScan(table=[[default_catalog, default_database, cdc]], fields=[a, b])
