"""Asks DuckDB a job of `krcu fleet ask --job`: prints an array of values for each row."""

import json
import sys

import duckdb

job = json.load(open(sys.argv[1]))
for table, files in job["files"].items():
    duckdb.sql(f"CREATE VIEW {table} AS SELECT * FROM read_parquet({files!r})")
for row in duckdb.sql(job["sql"]).fetchall():
    print(json.dumps(row, ensure_ascii=False))
