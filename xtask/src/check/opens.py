"""Tries each call that docs/other-tools.md names.

opens.py TRACE IPC PARQUET: a trace, and the folders of `krcu analyze export` of it, as Arrow files and as Parquet. Prints how
many events and lives of objects there are. Each call must give the same number, and addresses that are whole numbers.
"""

import json
import sys
from pathlib import Path

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.dataset
import pyarrow.feather
import pyarrow.ipc

TRACE, IPC, PARQUET = (Path(argument) for argument in sys.argv[1:4])
STREAM = min(TRACE.glob("events-*.arrows"))
TABLE = IPC / "objects.arrow"
FOLDER = PARQUET / "objects"


def counted(query, **tables):
    """A count by DuckDB, which finds tables by the names of variables."""
    connection = duckdb.connect()
    for name, table in tables.items():
        connection.register(name, table)
    return connection.execute(query).fetchone()[0]


def whole(column):
    if "int64" not in str(column.dtype):
        sys.exit(f"addresses are {column.dtype}")
    return len(column)


def refused(call):
    """A call that the document says not to make."""
    try:
        call()
    except Exception:
        return True
    return False


def stream():
    return pyarrow.ipc.open_stream(STREAM).read_all()


EVENTS = {
    "pyarrow.ipc.open_stream": lambda: stream().num_rows,
    "pyarrow, then pandas": lambda: whole(stream().to_pandas(types_mapper=pandas.ArrowDtype)["object"]),
    "pyarrow, then polars": lambda: polars.from_arrow(stream()).height,
    "polars.read_ipc_stream": lambda: polars.read_ipc_stream(STREAM).height,
    "DuckDB over pyarrow": lambda: counted("select count(*) from events", events=pyarrow.ipc.open_stream(STREAM)),
}
OBJECTS = {
    "pandas.read_feather": lambda: whole(pandas.read_feather(TABLE)["object"]),
    "pyarrow.feather.read_table": lambda: pyarrow.feather.read_table(TABLE).num_rows,
    "pyarrow.ipc.open_file": lambda: pyarrow.ipc.open_file(pyarrow.memory_map(str(TABLE))).read_all().num_rows,
    "polars.read_ipc": lambda: polars.read_ipc(TABLE).height,
    "polars.scan_ipc": lambda: polars.scan_ipc(TABLE).select(polars.len()).collect().item(),
    "DuckDB over pyarrow's table": lambda: counted(
        "select count(*) from objects", objects=pyarrow.feather.read_table(TABLE)),
    "pandas.read_parquet": lambda: whole(pandas.read_parquet(FOLDER)["object"]),
    "polars.scan_parquet": lambda: polars.scan_parquet(FOLDER, hive_partitioning=True)
    .select(polars.len()).collect().item(),
    "pyarrow.dataset": lambda: pyarrow.dataset.dataset(FOLDER, partitioning="hive").count_rows(),
    "DuckDB's read_parquet": lambda: counted(
        f"select count(*) from read_parquet('{FOLDER}/**/*.parquet', hive_partitioning=true)"),
}
NOT_OPENED = {
    "pandas.read_feather of a stream": lambda: pandas.read_feather(STREAM),
    "polars.scan_ipc of a stream": lambda: polars.scan_ipc(STREAM).collect(),
    "DuckDB of an Arrow file": lambda: counted(f"select count(*) from '{TABLE}'"),
}


def main():
    told = {}
    for name, calls in (("events", EVENTS), ("objects", OBJECTS)):
        found = {call: function() for call, function in calls.items()}
        if len(set(found.values())) != 1:
            sys.exit(f"the calls do not agree: {found}")
        told[name] = next(iter(found.values()))
    opened = [call for call, function in NOT_OPENED.items() if not refused(function)]
    if opened:
        sys.exit(f"the document says that these fail, and they do not: {opened}")
    print(json.dumps(told))


main()
