-- In an order that is none of time rows change, and -U is left out where nobody asks for it.
CREATE TABLE src (k STRING, v INT) WITH ('connector' = 'fake');
EXPLAIN CHANGELOG_MODE SELECT k, c, SUM(c) OVER (PARTITION BY k ORDER BY c) AS s
FROM (SELECT k, COUNT(*) AS c FROM src GROUP BY k) QUALIFY SUM(c) OVER (PARTITION BY k ORDER BY c) > 3;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(k=[$0], c=[$1], s=[$2])
-- +- LogicalFilter(condition=[>($2, 3)])
--    +- LogicalOver(w0$o0=[SUM($1) OVER (PARTITION BY $0 ORDER BY $1 NULLS FIRST)])
--       +- LogicalAggregate(group=[{0}], c=[COUNT()])
--          +- LogicalProject(k=[$0])
--             +- LogicalTableScan(table=[[default_catalog, default_database, src]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[k, c, w0$o0 AS s], where=[>(w0$o0, 3)], changelogMode=[I,UB,UA,D])
-- +- OverAggregate(partitionBy=[k], orderBy=[c ASC], window=[ RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW], select=[k, c, SUM(c) AS w0$o0], changelogMode=[I,UB,UA,D])
--    +- Exchange(distribution=[hash[k]], changelogMode=[I,UB,UA])
--       +- GroupAggregate(groupBy=[k], select=[k, COUNT(*) AS c], changelogMode=[I,UB,UA])
--          +- Exchange(distribution=[hash[k]], changelogMode=[I])
--             +- TableSourceScan(table=[[default_catalog, default_database, src, project=[k], metadata=[]]], fields=[k], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- Calc(select=[k, c, w0$o0 AS s], where=[(w0$o0 > 3)])
-- +- OverAggregate(partitionBy=[k], orderBy=[c ASC], window=[ RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW], select=[k, c, SUM(c) AS w0$o0])
--    +- Exchange(distribution=[hash[k]])
--       +- GroupAggregate(groupBy=[k], select=[k, COUNT(*) AS c])
--          +- Exchange(distribution=[hash[k]])
--             +- TableSourceScan(table=[[default_catalog, default_database, src, project=[k], metadata=[]]], fields=[k])
