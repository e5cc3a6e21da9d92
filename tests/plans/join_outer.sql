-- An outer join; what WHERE says of the missing side makes it an inner one.
CREATE TABLE a (id INT NOT NULL, k BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'fake');
CREATE TABLE b (k BIGINT, n INT) WITH ('connector' = 'fake');
EXPLAIN CHANGELOG_MODE SELECT * FROM (SELECT a.id, b.n FROM a LEFT JOIN b ON a.k = b.k)
UNION ALL SELECT a.id, b.n FROM a LEFT JOIN b ON a.id = b.k WHERE b.n > 0;
