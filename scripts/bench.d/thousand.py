"""A thousand tunnels in one process: what the last ones cost, and the memory of idle ones."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

from plan import KIB, TIMES, Plan, Sampler
from sides import Failed, Memtun, Unavailable, clean_environment, last_line, program
from table import Budget, Row


def thousand(plan: Plan) -> list:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = 1000 if hard == resource.RLIM_INFINITY else min(1000, hard - 100)
    note = "" if count == 1000 else f" (RLIMIT_NOFILE {hard})"
    rows = []
    for label, name in (("tun%d", "tun%d"), ("explicit names", "many")):
        cost = Row(
            f"{count:,} tunnels, {label}{note}: the last 20 and the first 20",
            lambda last, first: last / first, *TIMES, Budget(2), "first", "µs",
        )  # fmt: skip
        memory = Row(
            f"{count:,} tunnels, {label}{note}: resident per idle tunnel",
            lambda total, anonymous: total, *KIB, Budget(64), "of it anonymous", "KiB",
        )  # fmt: skip
        rows += [cost, memory]
        for _ in range(1 if plan.quick else 3):
            with Sampler(cost), Sampler(memory):
                first, last, total, anonymous = open_many(plan.side("memtun"), count, name)
                cost.theirs.append(first / 1000)
                cost.ours.append(last / 1000)
                memory.ours.append(total / 1024)
                memory.theirs.append(anonymous / 1024)
        for row in (cost, memory):
            row.missing, row.failure = cost.missing or memory.missing, cost.failure or memory.failure
    return rows


def open_many(memtun: Memtun, count: int, name: str) -> tuple:
    """Nanoseconds of the first and the last, resident bytes per tunnel and how many of them are anonymous memory.

    The rest is the net's files, counted by their blocks: on a tmpfs every block is resident, mapped or not."""
    net = memtun.net()
    process = subprocess.Popen(
        [str(word) for word in memtun.command([program("many"), count, name], net)],
        env=clean_environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    looked = []

    def expect(word: str) -> list:
        line = process.stdout.readline().split()
        if not line or line[0] != word:
            process.kill()
            raise Failed(last_line(process.stderr.read()) or "it ended early")
        looked.append((anonymous_bytes(process.pid), sum(f.lstat().st_blocks * 512 for f in net.rglob("*"))))
        return line[1:]

    try:
        for word in ("started", "one"):
            expect(word)
            process.stdin.write("\n")
            process.stdin.flush()
        first, last = map(float, expect("all"))
        process.communicate("\n", timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    (_, (anonymous_one, files_one), (anonymous_all, files_all)) = looked
    anonymous = (anonymous_all - anonymous_one) / (count - 1)
    return first, last, anonymous + (files_all - files_one) / (count - 1), anonymous


def anonymous_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise Unavailable("no Anonymous: in smaps_rollup")
