-- An aggregate over an aggregate reads its changes whole; what leaves last needs no -U.
CREATE TABLE src (a INT, b BIGINT, c STRING) WITH ('connector' = 'fake');
EXPLAIN CHANGELOG_MODE SELECT n, COUNT(*), SUM(s) FROM
  (SELECT a, COUNT(*) AS n, SUM(b) FILTER (WHERE c = 'x') AS s, COUNT(DISTINCT c) AS d FROM src GROUP BY a HAVING COUNT(*) > 1)
GROUP BY n;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalAggregate(group=[{0}], EXPR$1=[COUNT()], EXPR$2=[SUM($1)])
-- +- LogicalProject(n=[$1], s=[$2])
--    +- LogicalFilter(condition=[>($1, 1)])
--       +- LogicalAggregate(group=[{0}], n=[COUNT()], s=[SUM($1) FILTER $2], d=[COUNT(DISTINCT $3)])
--          +- LogicalProject(a=[$0], b=[$1], $f2=[IS TRUE(=($2, _UTF-16LE'x'))], c=[$2])
--             +- LogicalTableScan(table=[[default_catalog, default_database, src]])
--
-- == Optimized Physical Plan ==
-- GroupAggregate(groupBy=[n], select=[n, COUNT_RETRACT(*) AS EXPR$1, SUM_RETRACT(s) AS EXPR$2], changelogMode=[I,UA,D])
-- +- Exchange(distribution=[hash[n]], changelogMode=[I,UB,UA])
--    +- Calc(select=[n, s], where=[>(n, 1)], changelogMode=[I,UB,UA])
--       +- GroupAggregate(groupBy=[a], select=[a, COUNT(*) AS n, SUM(b) FILTER $f2 AS s], changelogMode=[I,UB,UA])
--          +- Exchange(distribution=[hash[a]], changelogMode=[I])
--             +- Calc(select=[a, b, IS TRUE(=(c, 'x')) AS $f2], changelogMode=[I])
--                +- TableSourceScan(table=[[default_catalog, default_database, src]], fields=[a, b, c], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- GroupAggregate(groupBy=[n], select=[n, COUNT_RETRACT(*) AS EXPR$1, SUM_RETRACT(s) AS EXPR$2])
-- +- Exchange(distribution=[hash[n]])
--    +- Calc(select=[n, s], where=[(n > 1)])
--       +- GroupAggregate(groupBy=[a], select=[a, COUNT(*) AS n, SUM(b) FILTER $f2 AS s])
--          +- Exchange(distribution=[hash[a]])
--             +- Calc(select=[a, b, (c = 'x') IS TRUE AS $f2])
--                +- TableSourceScan(table=[[default_catalog, default_database, src]], fields=[a, b, c])
