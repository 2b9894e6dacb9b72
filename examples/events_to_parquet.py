#!/usr/bin/env python3
"""Writes the events of a trace to one Parquet file, batch by batch, for programs that cannot read Arrow IPC.

    pip install pyarrow
    examples/events_to_parquet.py NAME.krcu EVENTS.parquet
"""

import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} NAME.krcu EVENTS.parquet")
    writer = None
    for stream in sorted(Path(sys.argv[1]).glob("events-*.arrows")):
        reader = pyarrow.ipc.open_stream(stream)
        writer = writer or pyarrow.parquet.ParquetWriter(sys.argv[2], reader.schema, compression="snappy")
        try:
            for batch in reader:
                writer.write_batch(batch)
        except (pyarrow.ArrowInvalid, OSError):
            # The last batch of a recorder that was killed.
            break
    if writer:
        writer.close()


if __name__ == "__main__":
    main()
