-- A row that leaves a rank whose updates come without what they replace is known by partition and number alone: a join keeps rows by
-- that, and not by the keys that the ranked rows had before, also where those are smaller.
CREATE TABLE t (id INT, p INT, v INT) WITH ('connector' = 'fake');
CREATE TABLE d (n BIGINT, w INT) WITH ('connector' = 'fake');
CREATE TABLE snk (p INT, rn BIGINT, id INT, w INT, PRIMARY KEY (p, rn) NOT ENFORCED) WITH ('connector' = 'fake', 'changelog' = 'UPSERT');
EXPLAIN CHANGELOG_MODE INSERT INTO snk SELECT r.p, r.rn, r.id, m.w
FROM (SELECT * FROM (SELECT id, p, s, ROW_NUMBER() OVER (PARTITION BY p ORDER BY s DESC) AS rn
      FROM (SELECT id, p, COUNT(*) AS s FROM t GROUP BY id, p)) WHERE rn <= 2) r
JOIN (SELECT n, MAX(w) AS w FROM d GROUP BY n) m ON r.rn = m.n;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalSink(table=[default_catalog.default_database.snk], fields=[p, rn, id, w])
-- +- LogicalProject(p=[$1], rn=[$3], id=[$0], w=[$5])
--    +- LogicalJoin(condition=[=($3, $4)], joinType=[inner])
--       :- LogicalProject(id=[$0], p=[$1], s=[$2], rn=[$3])
--       :  +- LogicalFilter(condition=[<=($3, 2)])
--       :     +- LogicalProject(id=[$0], p=[$1], s=[$2], rn=[ROW_NUMBER() OVER (PARTITION BY $1 ORDER BY $2 DESC NULLS LAST)])
--       :        +- LogicalAggregate(group=[{0, 1}], s=[COUNT()])
--       :           +- LogicalProject(id=[$0], p=[$1])
--       :              +- LogicalTableScan(table=[[default_catalog, default_database, t]])
--       +- LogicalAggregate(group=[{0}], w=[MAX($1)])
--          +- LogicalTableScan(table=[[default_catalog, default_database, d]])
--
-- == Optimized Physical Plan ==
-- Sink(table=[default_catalog.default_database.snk], fields=[p, rn, id, w], changelogMode=[NONE])
-- +- Calc(select=[p, rn, id, w], changelogMode=[I,UA,D])
--    +- Join(joinType=[InnerJoin], where=[=(rn, n)], select=[id, p, rn, n, w], leftInputSpec=[HasUniqueKey], rightInputSpec=[JoinKeyContainsUniqueKey], changelogMode=[I,UA,D])
--       :- Exchange(distribution=[hash[rn]], changelogMode=[I,UA,D])
--       :  +- Calc(select=[id, p, w0$o0 AS rn], changelogMode=[I,UA,D])
--       :     +- Rank(strategy=[UpdateFastStrategy[0,1]], rankType=[ROW_NUMBER], rankRange=[rankStart=1, rankEnd=2], partitionBy=[p], orderBy=[s DESC], select=[id, p, s, w0$o0], changelogMode=[I,UA,D])
--       :        +- Exchange(distribution=[hash[p]], changelogMode=[I,UA])
--       :           +- GroupAggregate(groupBy=[id, p], select=[id, p, COUNT(*) AS s], changelogMode=[I,UA])
--       :              +- Exchange(distribution=[hash[id, p]], changelogMode=[I])
--       :                 +- TableSourceScan(table=[[default_catalog, default_database, t, project=[id, p], metadata=[]]], fields=[id, p], changelogMode=[I])
--       +- Exchange(distribution=[hash[n]], changelogMode=[I,UA])
--          +- GroupAggregate(groupBy=[n], select=[n, MAX(w) AS w], changelogMode=[I,UA])
--             +- Exchange(distribution=[hash[n]], changelogMode=[I])
--                +- Calc(select=[n, w], where=[<=(n, 2)], changelogMode=[I])
--                   +- TableSourceScan(table=[[default_catalog, default_database, d]], fields=[n, w], changelogMode=[I])
--
-- == Optimized Execution Plan ==
-- Sink(table=[default_catalog.default_database.snk], fields=[p, rn, id, w])
-- +- Calc(select=[p, rn, id, w])
--    +- Join(joinType=[InnerJoin], where=[(rn = n)], select=[id, p, rn, n, w], leftInputSpec=[HasUniqueKey], rightInputSpec=[JoinKeyContainsUniqueKey])
--       :- Exchange(distribution=[hash[rn]])
--       :  +- Calc(select=[id, p, w0$o0 AS rn])
--       :     +- Rank(strategy=[UpdateFastStrategy[0,1]], rankType=[ROW_NUMBER], rankRange=[rankStart=1, rankEnd=2], partitionBy=[p], orderBy=[s DESC], select=[id, p, s, w0$o0])
--       :        +- Exchange(distribution=[hash[p]])
--       :           +- GroupAggregate(groupBy=[id, p], select=[id, p, COUNT(*) AS s])
--       :              +- Exchange(distribution=[hash[id, p]])
--       :                 +- TableSourceScan(table=[[default_catalog, default_database, t, project=[id, p], metadata=[]]], fields=[id, p])
--       +- Exchange(distribution=[hash[n]])
--          +- GroupAggregate(groupBy=[n], select=[n, MAX(w) AS w])
--             +- Exchange(distribution=[hash[n]])
--                +- Calc(select=[n, w], where=[(n <= 2)])
--                   +- TableSourceScan(table=[[default_catalog, default_database, d]], fields=[n, w])
