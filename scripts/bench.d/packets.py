"""Packets in and out, in nanoseconds beside the kernel's driver, and beside what nobody can do without."""

from __future__ import annotations

import os
from statistics import median

from plan import TIMES, Plan, Sampler, speed, speed_lost
from sides import Failed, Unavailable, program
from table import Budget, Row

# What is asked of a packet in bulk: so many times the kernel where the kernel takes two microseconds, and never less.
FAST, SLOW, SLOW_KERNEL = Budget(30, True), Budget(12, True), 2000
BULK = "bulk"

WANTED = [
    ("inject then read, 32 at a time, 64 bytes", "bulk", 64, BULK, "copy"),
    ("inject then read, 32 at a time, 1,400 bytes", "bulk", 1400, BULK, "copy"),
    ("inject 32 by one call, read them, 64 bytes", "bulk-many", 64, BULK, "copy"),
    ("send_udp then read, 32 at a time, 64 bytes", "bulk-udp", 64, None, "copy"),
    ("inject then read, 32 at a time, 64 bytes, edge-triggered", "bulk-edge", 64, None, "copy"),
    ("write then recv, 32 at a time, 64 bytes", "bulk-out", 64, None, "copy"),
    ("write 32, receive them by one call, 64 bytes", "bulk-out-many", 64, None, "copy"),
    ("inject one, read it, 64 bytes", "single", 64, Budget(20, True), "copy"),
    ("... a FIFO byte in and out alone", "bell", 64, None, ""),
    ("inject one, poll, read it, 64 bytes", "single-poll", 64, Budget(20, True), "copy"),
    ("... a FIFO byte in, poll and out alone", "bell-poll", 64, None, ""),
    ("round trip of two processes on one CPU, 64 bytes", "roundtrip", 64, Budget(1, True), "bell-trip"),
    ("round trip of two processes on two CPUs, 64 bytes", "roundtrip-2", 64, Budget(5, True), "trip"),
]


def packets(plan: Plan) -> list:
    repetitions, seconds = (3, 0.03) if plan.quick else (15, 0.2)
    rows, runs = [], {}
    for what, kind, length, budget, floor in WANTED:
        row = Row(what, speed, *TIMES, FAST if budget is BULK else budget, "kernel")
        # What the bell costs says how much of the cost is the kernel's, and how far a packet of its own can get.
        kernel, ours = kind.replace("bell", "single"), "no preload" if kind.startswith("bell") else "memtun"
        runs[what] = [
            (ours, row.ours, [program("packets"), kind, length, seconds]),
            ("kernel", row.theirs, [program("packets"), kernel, length, seconds]),
        ]
        if floor == "bell-trip":
            runs[what].append(("no preload", row.floor, [program("packets"), floor, length, seconds]))
        elif floor:
            runs[what].append(("no preload", row.floor, [program("floor"), floor, length, seconds / 4]))
        if kind == "roundtrip-2" and len(os.sched_getaffinity(0)) < 2:
            row.missing = "one CPU"
        rows.append(row)
    possible = [row for row in rows if not row.missing]
    for _ in range(repetitions):
        for row in possible:
            if not row.failure:
                with Sampler(row):
                    one_of_each(plan, row, runs[row.what])
    for row in rows:
        if row.budget is FAST and row.theirs and median(row.theirs) < SLOW_KERNEL:
            row.budget = SLOW
    return [*rows, over_the_bell(rows)]


def over_the_bell(rows: list) -> Row:
    """Both processes sleep on one CPU: then a packet is held against a byte that wakes them in the same way."""
    trip = next(row for row in rows if row.what.startswith("round trip of two processes on one CPU"))
    row = Row("... beside a FIFO byte there and one back, both asleep in poll", speed_lost, *TIMES, Budget(1.2), "byte")
    row.ours, row.theirs = trip.ours, trip.floor
    row.failure = trip.failure
    return row


def one_of_each(plan: Plan, row: Row, runs: list) -> None:
    """A side that is missing does not keep the other from being measured."""
    for name, samples, words in runs:
        try:
            samples.append(float(plan.side(name).run(*words)))
        except Unavailable as reason:
            row.missing = row.missing or str(reason)
        except Failed as error:
            if name != "kernel":
                raise
            row.missing = f"kernel: {error}"


SIZES = [64, 256, 1400, 9000, 32000, 65000]


def by_size(plan: Plan) -> dict:
    """Nanoseconds of a packet in and out again, by its length: for the plot."""
    repetitions, seconds = (1, 0.02) if plan.quick else (5, 0.05)
    ways = {
        "kernel": ("kernel", [program("packets"), "bulk"]),
        "memtun": ("memtun", [program("packets"), "bulk"]),
        "memtun, by inject_many": ("memtun", [program("packets"), "bulk-many"]),
        "two memcpy": ("no preload", [program("floor"), "copy"]),
    }
    found = {}
    for name, (side, words) in ways.items():
        try:
            found[name] = [
                median(float(plan.side(side).run(*words, size, seconds)) for _ in range(repetitions)) for size in SIZES
            ]
        except (Unavailable, Failed):
            continue
    return found
