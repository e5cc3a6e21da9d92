-- IN, EXISTS and their opposites.
CREATE TABLE a (id INT NOT NULL, k BIGINT, x STRING) WITH ('connector' = 'fake');
CREATE TABLE b (k BIGINT, n INT NOT NULL) WITH ('connector' = 'fake');
EXPLAIN SELECT x FROM a WHERE k IN (SELECT k FROM b WHERE n > 1) AND NOT EXISTS (SELECT 1 FROM b WHERE b.n = a.id AND b.k < a.k)
UNION ALL SELECT x FROM a WHERE k NOT IN (SELECT k FROM b) AND id > 3;
