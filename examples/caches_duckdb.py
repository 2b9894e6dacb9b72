#!/usr/bin/env python3
"""How many frees of each cache were deferred, how many were done, and after how long, in DuckDB, from the events alone.

    pip install duckdb pyarrow
    examples/events_to_parquet.py NAME.krcu EVENTS.parquet
    examples/caches_duckdb.py EVENTS.parquet

An object is its address from one `queued` to the next `freed`. This example assumes that every cache has a different address.
`krcu analyze caches` says the same, and also what follows from the destroys.
"""

import json
import sys

import duckdb

CACHES = """
WITH events AS (
    SELECT kind, cache, object, time_ns, file_row_number AS place
    FROM read_parquet($file, file_row_number = true) WHERE kind IN ('queued', 'freed')
),
paired AS (
    SELECT kind, cache, time_ns, lag(kind) OVER life AS before, lag(time_ns) OVER life AS before_ns
    FROM events WINDOW life AS (PARTITION BY object ORDER BY place)
),
lives AS (
    SELECT cache, kind = 'queued' AS queued,
        CASE WHEN kind = 'freed' AND before = 'queued' THEN time_ns - before_ns END AS age_ns
    FROM paired
),
caches AS (
    SELECT cache, count(*) FILTER (queued) AS queued, count(age_ns) AS freed,
        quantile_disc(age_ns, 0.5) AS age_p50_ns, quantile_disc(age_ns, 0.99) AS age_p99_ns, max(age_ns) AS age_max_ns
    FROM lives GROUP BY cache
)
SELECT count(*), sum(queued), sum(freed), max(age_max_ns) FROM caches
"""


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} EVENTS.parquet")
    caches, queued, freed, age_max_ns = duckdb.execute(CACHES, {"file": sys.argv[1]}).fetchone()
    print(json.dumps({"caches": caches, "queued": int(queued), "freed": int(freed), "age_max_ns": int(age_max_ns)}))


if __name__ == "__main__":
    main()
