#!/usr/bin/env python3
"""What was outstanding when each destroy looked, in DuckDB.

    pip install duckdb
    krcu analyze export NAME.krcu --to parquet -o DATASET
    examples/outstanding_duckdb.py DATASET
    examples/outstanding_duckdb.py --events EVENTS.parquet

It reads the tables of `krcu analyze export`, or the events alone. With the events alone, it assumes that every cache has a different
address.
"""

import json
import sys

import duckdb

FROM_TABLES = """
WITH looks AS (
    SELECT destroy, cache, coalesce(look_at_ns, begin_at_ns) AS at_ns
    FROM read_parquet($folder || '/destroys/*/*/*.parquet')
),
counted AS (
    SELECT destroy, count(*) AS outstanding
    FROM read_parquet($folder || '/objects/*/*/*.parquet') JOIN looks USING (cache)
    WHERE queued_at_ns <= at_ns AND (over_at_ns IS NULL OR over_at_ns > at_ns) GROUP BY destroy
)
SELECT count(*), coalesce(sum(outstanding), 0) FROM looks LEFT JOIN counted USING (destroy)
"""

FROM_EVENTS = """
WITH events AS (SELECT kind, cache, file_row_number AS place FROM read_parquet($file, file_row_number = true)),
looks AS (SELECT cache, place AS look FROM events WHERE kind = 'shutdown_begin'),
counted AS (
    SELECT look, sum(CASE kind WHEN 'queued' THEN 1 ELSE -1 END) AS outstanding
    FROM events JOIN looks USING (cache)
    WHERE place < look AND kind IN ('queued', 'freed') GROUP BY look
)
SELECT count(*), coalesce(sum(outstanding), 0) FROM looks LEFT JOIN counted USING (look)
"""


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] == "--events":
        question, given = FROM_EVENTS, {"file": sys.argv[2]}
    elif len(sys.argv) == 2:
        question, given = FROM_TABLES, {"folder": sys.argv[1]}
    else:
        sys.exit(f"usage: {sys.argv[0]} DATASET | --events FILE")
    destroys, outstanding = duckdb.execute(question, given).fetchone()
    print(json.dumps({"destroys": int(destroys), "outstanding": int(outstanding)}))


if __name__ == "__main__":
    main()
