#!/usr/bin/env python3
"""Opens the newest checkpoint of a job with DuckDB: shows the windows that are still open.

usage: checkpoint.py STATE
  STATE   the job's folder of state, such as .streamjob/flights

Nothing of StreamJob is needed for this: a record of the log is JSON, what it names are Arrow files.
"""

import json
import pathlib
import sys

import duckdb
import pyarrow
from pyarrow import ipc


def main():
    state = pathlib.Path(sys.argv[1])
    checkpoint = newest(state / "log")
    open_windows = pyarrow.concat_tables(blocks(state, checkpoint))
    print(f"checkpoint {checkpoint['epoch']}: {open_windows.num_rows:,} rows of state, {', '.join(open_windows.schema.names)}")
    # The same key may have come in several checkpoints, one after another: its state is their sum.
    query = """
        SELECT make_timestamp(window_end * 1000)::DATE - 1 AS day, count(DISTINCT carrier) AS carriers,
               sum("flights.count") AS flights, sum("departures.count") AS departures
        FROM open_windows GROUP BY ALL ORDER BY day LIMIT 10
    """
    print(duckdb.sql(query))


def newest(log):
    """The checkpoint in the newest record that has one."""
    for record in sorted(log.glob("*.json"), reverse=True):
        body = json.loads(record.read_text())["record"]["body"]
        for kind in "epoch", "final":
            if kind in body:
                return body[kind]["checkpoint"]
    sys.exit(f"checkpoint: {log} has no checkpoint")


def blocks(state, checkpoint):
    """The states that a checkpoint names: consecutive record batches in Arrow files."""
    for window in checkpoint["slices"]:
        for block in window["blocks"]:
            with pyarrow.OSFile(str(state / block["object"])) as file:
                schema = ipc.open_file(file).schema
                file.seek(block["offset"])
                while file.tell() < block["offset"] + block["bytes"]:
                    batch = ipc.read_record_batch(ipc.read_message(file), schema)
                    groups = batch.column("key_group").to_pylist()
                    counts = [block["groups"]["first"] <= group < block["groups"]["end"] for group in groups]
                    yield pyarrow.Table.from_batches([batch]).filter(pyarrow.array(counts))


if __name__ == "__main__":
    main()
