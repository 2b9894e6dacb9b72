#!/usr/bin/env python3
"""A trace of krcu in pandas: how many objects of each cache were queued and freed, and how often it was destroyed.

    pip install pandas pyarrow
    examples/trace_pandas.py NAME.krcu

A trace is a set of Arrow IPC streams, so no program of krcu is needed to read it; docs/trace-format.md explains the columns.
"""

import json
import sys
from pathlib import Path

import pandas
import pyarrow


def events(folder: Path) -> pandas.DataFrame:
    """Every event, in the order of the verdicts. The last batch of a recorder that was killed is left out."""
    batches = []
    for stream in sorted(folder.glob("events-*.arrows")):
        reader = pyarrow.ipc.open_stream(stream)
        try:
            batches.extend(reader)
        except (pyarrow.ArrowInvalid, OSError):
            break
    # As numpy has it, a column of addresses with a gap in it would become floats, and neighbours the same address.
    return pyarrow.Table.from_batches(batches).to_pandas(types_mapper=pandas.ArrowDtype)


def counts(table: pandas.DataFrame) -> dict:
    """By the name of the cache. An address is one cache from its creation to the next one at that address."""
    born = (table["kind"] == "cache_created") & (table["refcount"] == 1)
    table["life"] = born.groupby(table["cache"]).cumsum()
    named = table[table["kind"].isin(["cache_created", "destroy_begin"])]
    names = named.groupby(["cache", "life"])["name"].last().rename("cache_name")
    table = table.join(names, on=["cache", "life"])

    def by_name(kind: str) -> dict:
        rows = table[table["kind"] == kind]
        return {str(name): int(n) for name, n in rows.groupby("cache_name").size().items()}

    return {"queued": by_name("queued"), "freed": by_name("freed"), "destroys": by_name("destroy_begin")}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} NAME.krcu")
    print(json.dumps(counts(events(Path(sys.argv[1]))), sort_keys=True))
