-- What all parts of an OR ask for is what a join joins by; what an OR says of one input is asked before the join.
CREATE TABLE a (id INT NOT NULL, k BIGINT, x STRING) WITH ('connector' = 'fake');
CREATE TABLE b (k BIGINT, n INT NOT NULL) WITH ('connector' = 'fake');
EXPLAIN SELECT x FROM a, b WHERE (a.k = b.k AND id = 1 AND n = 2) OR (a.k = b.k AND id = 2 AND n = 1)
UNION ALL SELECT x FROM a LEFT JOIN b ON (a.k = b.k AND id = 1) OR (a.k = b.k AND n = 1)
UNION ALL SELECT x FROM a WHERE (k = 1 AND id = 2) OR (k = 1 AND x = 'y') OR k = 1;
-- EXPECT
