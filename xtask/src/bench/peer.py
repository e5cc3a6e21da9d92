"""One window query over a CSV file as a batch: peer.py ENGINE THREADS INPUT OUTPUT. Prints its figures as JSON.

Wall and CPU seconds are those of the query; what the interpreter and the import of the engine take is start_s.
"""

import json
import os
import resource
import sys
import time

engine, threads, source, target = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
TIMES = (time.perf_counter, time.process_time)

if engine == "duckdb":
    import duckdb

    db = duckdb.connect()
    db.execute(f"SET threads = {threads}")
    version = duckdb.__version__

    def query():
        columns = "{'id': 'BIGINT', 'k': 'BIGINT', 'v': 'BIGINT', 'ts': 'TIMESTAMP'}"
        db.execute(
            f"""COPY (SELECT time_bucket(INTERVAL '10 seconds', ts) AS w, k, count(*) AS n, sum(v) AS s
            FROM read_csv('{source}', header = false, auto_detect = false, delim = ',', columns = {columns})
            GROUP BY ALL) TO '{target}' (FORMAT csv, HEADER false)"""
        )

else:
    import datafusion
    import pyarrow as pa

    context = datafusion.SessionContext(datafusion.SessionConfig().with_target_partitions(threads))
    version = datafusion.__version__
    schema = pa.schema(
        [("id", pa.int64()), ("k", pa.int64()), ("v", pa.int64()), ("ts", pa.timestamp("ms"))]
    )

    def query():
        context.register_csv("events", source, schema=schema, has_header=False)
        context.sql(
            """SELECT date_bin(INTERVAL '10 seconds', ts) AS w, k, count(*) AS n, sum(v) AS s
            FROM events GROUP BY 1, 2"""
        ).write_csv(target, with_header=False)


started = [clock() for clock in TIMES]
query()
wall, cpu = (clock() - at for clock, at in zip(TIMES, started))
print(
    json.dumps(
        {
            "version": version,
            "wall_s": wall,
            "cpu_s": cpu,
            "start_s": started[1],
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        }
    )
)
# Threads of the engine may outlive the interpreter's end.
sys.stdout.flush()
os._exit(0)
