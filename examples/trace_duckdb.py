#!/usr/bin/env python3
"""A trace of krcu in DuckDB: how many objects of each cache were queued and freed, and how often it was destroyed.

    pip install duckdb pyarrow
    examples/trace_duckdb.py NAME.krcu

DuckDB reads the Arrow IPC streams of a trace without conversion; docs/trace-format.md explains the columns. DuckDB also reads
what `krcu analyze export --to parquet` writes: SELECT … FROM read_parquet('DIR/objects/*/*/*.parquet', hive_partitioning = true).
"""

import json
import sys
from pathlib import Path

import duckdb
import pyarrow

# An address is one cache from its creation to the next one at that address.
COUNTS = """
WITH numbered AS (SELECT row_number() OVER () AS place, * FROM events),
lived AS (
    SELECT *, sum(CASE WHEN kind = 'cache_created' AND refcount = 1 THEN 1 ELSE 0 END)
        OVER (PARTITION BY cache ORDER BY place) AS life
    FROM numbered WHERE cache IS NOT NULL
),
named AS (
    SELECT cache, life, arg_max(name, place) AS cache_name
    FROM lived WHERE kind IN ('cache_created', 'destroy_begin') GROUP BY cache, life
)
SELECT kind, cache_name, count(*) FROM lived JOIN named USING (cache, life)
WHERE kind IN ('queued', 'freed', 'destroy_begin') GROUP BY ALL
"""


def events(folder: Path) -> pyarrow.Table:
    """Every event, in the order of the verdicts. The last batch of a recorder that was killed is left out."""
    batches = []
    for stream in sorted(folder.glob("events-*.arrows")):
        reader = pyarrow.ipc.open_stream(stream)
        try:
            batches.extend(reader)
        except (pyarrow.ArrowInvalid, OSError):
            break
    return pyarrow.Table.from_batches(batches)


def counts(table: pyarrow.Table) -> dict:
    """By the name of the cache."""
    connection = duckdb.connect()
    connection.execute("SET preserve_insertion_order = true")
    connection.register("events", table)
    found = {"queued": {}, "freed": {}, "destroys": {}}
    for kind, name, number in connection.execute(COUNTS).fetchall():
        found["destroys" if kind == "destroy_begin" else kind][name] = number
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} NAME.krcu")
    print(json.dumps(counts(events(Path(sys.argv[1]))), sort_keys=True))
