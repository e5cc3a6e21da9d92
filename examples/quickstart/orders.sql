-- Orders of a small coffee chain, read from a CSV file, summed up per shop in windows of ten minutes of event time,
-- and written to CSV files exactly once. Run it from the project's folder:
--
--     cargo run --release -- run examples/quickstart/orders.sql
--
-- Relative paths start at the folder of this script.

CREATE TABLE orders (
    order_id  BIGINT,
    shop      STRING,
    product   STRING,
    quantity  INT,
    amount    DECIMAL(10, 2),
    ordered   TIMESTAMP(3),
    WATERMARK FOR ordered AS ordered - INTERVAL '30' SECOND
) WITH (
    'connector' = 'filesystem',
    'path' = 'data/orders.csv',
    'format' = 'csv'
);

CREATE TABLE revenue (
    shop          STRING,
    window_start  TIMESTAMP(3),
    window_end    TIMESTAMP(3),
    orders        BIGINT,
    cups          INT,
    revenue       DECIMAL(38, 2)
) WITH (
    'connector' = 'filesystem',
    'path' = 'out/revenue',
    'format' = 'csv'
);

-- Something to watch while it runs: how many cups of each product, on the terminal.
CREATE TABLE screen (
    product       STRING,
    window_start  TIMESTAMP(3),
    cups          INT
) WITH (
    'connector' = 'print'
);

EXECUTE STATEMENT SET BEGIN

INSERT INTO revenue
SELECT shop, window_start, window_end, COUNT(*), SUM(quantity), SUM(amount)
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ordered), INTERVAL '10' MINUTES))
GROUP BY shop, window_start, window_end;

INSERT INTO screen
SELECT product, window_start, SUM(quantity)
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ordered), INTERVAL '1' HOUR))
GROUP BY product, window_start, window_end;

END;
