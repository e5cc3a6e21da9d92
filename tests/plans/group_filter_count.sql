-- A condition of FILTER is never NULL; what is never NULL is counted as the row is.
CREATE TABLE a (id INT NOT NULL, k BIGINT, x STRING NOT NULL, ok BOOLEAN) WITH ('connector' = 'fake');
EXPLAIN SELECT k, COUNT(1), COUNT(x), COUNT(k), COUNT(DISTINCT x), SUM(id + 1),
  COUNT(*) FILTER (WHERE k > 1), COUNT(*) FILTER (WHERE x = 'y'), SUM(id) FILTER (WHERE ok) FROM a GROUP BY k;
-- EXPECT
-- == Abstract Syntax Tree ==
-- LogicalProject(k=[$0], EXPR$1=[$1], EXPR$2=[$1], EXPR$3=[$2], EXPR$4=[$3], EXPR$5=[$4], EXPR$6=[$5], EXPR$7=[$6], EXPR$8=[$7])
-- +- LogicalAggregate(group=[{0}], EXPR$1=[COUNT()], EXPR$3=[COUNT($0)], EXPR$4=[COUNT(DISTINCT $1)], EXPR$5=[SUM($2)], EXPR$6=[COUNT() FILTER $3], EXPR$7=[COUNT() FILTER $4], EXPR$8=[SUM($5) FILTER $6])
--    +- LogicalProject(k=[$1], x=[$2], $f3=[+($0, 1)], $f4=[IS TRUE(>($1, 1))], $f5=[=($2, _UTF-16LE'y')], id=[$0], $f7=[IS TRUE($3)])
--       +- LogicalTableScan(table=[[default_catalog, default_database, a]])
--
-- == Optimized Physical Plan ==
-- Calc(select=[k, EXPR$1, EXPR$1 AS EXPR$2, EXPR$3, EXPR$4, EXPR$5, EXPR$6, EXPR$7, EXPR$8])
-- +- GroupAggregate(groupBy=[k], select=[k, COUNT(*) AS EXPR$1, COUNT(k) AS EXPR$3, COUNT(DISTINCT x) AS EXPR$4, SUM($f3) AS EXPR$5, COUNT(*) FILTER $f4 AS EXPR$6, COUNT(*) FILTER $f5 AS EXPR$7, SUM(id) FILTER $f7 AS EXPR$8])
--    +- Exchange(distribution=[hash[k]])
--       +- Calc(select=[k, x, +(id, 1) AS $f3, IS TRUE(>(k, 1)) AS $f4, =(x, 'y') AS $f5, id, IS TRUE(ok) AS $f7])
--          +- TableSourceScan(table=[[default_catalog, default_database, a]], fields=[id, k, x, ok])
--
-- == Optimized Execution Plan ==
-- Calc(select=[k, EXPR$1, EXPR$1 AS EXPR$2, EXPR$3, EXPR$4, EXPR$5, EXPR$6, EXPR$7, EXPR$8])
-- +- GroupAggregate(groupBy=[k], select=[k, COUNT(*) AS EXPR$1, COUNT(k) AS EXPR$3, COUNT(DISTINCT x) AS EXPR$4, SUM($f3) AS EXPR$5, COUNT(*) FILTER $f4 AS EXPR$6, COUNT(*) FILTER $f5 AS EXPR$7, SUM(id) FILTER $f7 AS EXPR$8])
--    +- Exchange(distribution=[hash[k]])
--       +- Calc(select=[k, x, (id + 1) AS $f3, (k > 1) IS TRUE AS $f4, (x = 'y') AS $f5, id, ok IS TRUE AS $f7])
--          +- TableSourceScan(table=[[default_catalog, default_database, a]], fields=[id, k, x, ok])
