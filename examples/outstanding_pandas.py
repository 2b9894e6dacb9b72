#!/usr/bin/env python3
"""What was outstanding when each destroy looked, in pandas.

    pip install pandas pyarrow
    krcu analyze export NAME.krcu --to parquet -o DATASET
    examples/outstanding_pandas.py DATASET
    examples/outstanding_pandas.py --events EVENTS.parquet

It reads the tables of `krcu analyze export`, or the events alone. With the events alone, it assumes that every cache has a different
address.
"""

import json
import sys
from pathlib import Path

import pandas


def from_tables(folder: Path) -> pandas.Series:
    def table(name: str, columns: list) -> pandas.DataFrame:
        parts = sorted((folder / name).glob("*/*/*.parquet"))
        return pandas.concat([pandas.read_parquet(part, columns=columns, partitioning=None) for part in parts])

    looks = table("destroys", ["destroy", "cache", "begin_at_ns", "look_at_ns"])
    looks["at_ns"] = looks["look_at_ns"].fillna(looks["begin_at_ns"])
    objects = table("objects", ["cache", "queued_at_ns", "over_at_ns"])
    pairs = objects.merge(looks[["destroy", "cache", "at_ns"]], on="cache")
    then = pairs[(pairs["queued_at_ns"] <= pairs["at_ns"]) & ~(pairs["over_at_ns"] <= pairs["at_ns"])]
    return then.groupby("destroy").size().reindex(looks["destroy"], fill_value=0)


def from_events(file: Path) -> pandas.Series:
    events = pandas.read_parquet(file, columns=["kind", "cache"], dtype_backend="pyarrow")
    events["kind"] = events["kind"].astype("category")
    change = (events["kind"] == "queued").astype("int8") - (events["kind"] == "freed").astype("int8")
    outstanding = change.groupby(events["cache"]).cumsum()
    return outstanding[events["kind"] == "shutdown_begin"]


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] == "--events":
        outstanding = from_events(Path(sys.argv[2]))
    elif len(sys.argv) == 2:
        outstanding = from_tables(Path(sys.argv[1]))
    else:
        sys.exit(f"usage: {sys.argv[0]} DATASET | --events FILE")
    print(json.dumps({"destroys": len(outstanding), "outstanding": int(outstanding.sum())}))


if __name__ == "__main__":
    main()
