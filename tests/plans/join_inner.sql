-- A regular join reads what is needed; conditions of WHERE go down; a key that is no column is computed below.
CREATE TABLE a (id INT, k BIGINT, x STRING, y DOUBLE, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'fake');
CREATE TABLE b (k BIGINT, n INT, z STRING) WITH ('connector' = 'fake');
EXPLAIN SELECT a.id, b.z FROM a, b WHERE a.k = b.k AND a.x = 'x' AND b.n + 1 = a.id AND a.y > b.n;
