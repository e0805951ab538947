#!/usr/bin/env python3
"""Compares what a flights job wrote with what DuckDB says about the same files. Fails on a difference.

usage: compare.py FOLDER OUT
  FOLDER   holds `data`, the job's input
  OUT      the job's output folder
"""

import json
import math
import pathlib
import sys

import duckdb

QUERY = """
    SELECT carrier, epoch_ms(make_date(year, month, day)) AS window_start,
           count(*), count(dep_delay), avg(dep_delay)
    FROM read_csv(?, nullstr = ['NA', ''])
    GROUP BY ALL
"""


def main():
    folder, out = map(pathlib.Path, sys.argv[1:])
    files = sorted(str(file) for file in (folder / "data").iterdir())
    expected = {row[:2]: row[2:] for row in duckdb.execute(QUERY, [files]).fetchall()}
    found, twice = read_output(out)
    differences = [f"{key}: printed twice" for key in twice]
    for key in sorted(expected.keys() | found.keys()):
        ours, theirs = found.get(key), expected.get(key)
        if ours is None or theirs is None or not same(ours, theirs):
            differences.append(f"{key}: the job says {ours}, DuckDB {theirs}")
    flights = sum(values[0] for values in expected.values())
    print(f"compare: {len(found):,} rows of {out.name}, {flights:,} flights in {len(files)} files, "
          f"DuckDB {duckdb.__version__}: {len(differences) or 'no'} difference{'s' * (len(differences) != 1)}")
    if differences or not expected:
        print(*differences[:10], sep="\n")
        sys.exit(1)


def read_output(out):
    """What the job wrote, by carrier and start of the day, and which of them it wrote more than once."""
    found, twice = {}, []
    for file in sorted(out.iterdir()):
        if file.name.startswith(("_", ".")):
            continue
        for line in file.read_text().splitlines():
            row = json.loads(line)
            key = row["carrier"], row["window_start"]
            assert row["window_end"] - row["window_start"] == 86_400_000, line
            if key in found:
                twice.append(key)
            found[key] = row["flights"], row["departures"], row["mean_delay"]
    return found, twice


def same(ours, theirs):
    if ours[:2] != theirs[:2] or (ours[2] is None) != (theirs[2] is None):
        return False
    return ours[2] is None or math.isclose(ours[2], theirs[2], rel_tol=1e-9, abs_tol=1e-9)


if __name__ == "__main__":
    main()
