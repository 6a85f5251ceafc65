"""The package beside Twisted's MemoryIOSystem, program and driver in one process."""

from __future__ import annotations

from pathlib import Path

from plan import TIMES, Plan, Sampler, speed
from sides import run
from table import Budget, Row

# What memtun_side.py prints, and which of twisted_side.py's two figures it is compared with.
WAYS = [
    ("send a datagram, read it", 0, Budget(2, True)),
    ("write a packet, receive its datagram", 1, Budget(2, True)),
    ("send a datagram by the C interface (ctypes), read it", 0, Budget(2, True)),
    ("send 32 datagrams by one call, read them; each", 0, None),
    ("write 32 packets, receive them by one call; each", 1, None),
]


def python(plan: Plan) -> list:
    repetitions, seconds = (3, 0.1) if plan.quick else (7, 0.3)
    here = Path(__file__).parent
    rows = [Row(f"Python: {what}", speed, *TIMES, budget, "MemoryIOSystem") for what, _, budget in WAYS]
    with Sampler(rows[0]):
        for _ in range(repetitions):
            memtun, interpreter = plan.side("memtun"), plan.side("Twisted")
            ours = memtun.run(interpreter, here / "memtun_side.py", seconds).split()
            theirs = run([interpreter, here / "twisted_side.py", seconds]).split()
            for row, (_, other, _), figure in zip(rows, WAYS, ours):
                row.ours.append(float(figure))
                row.theirs.append(float(theirs[other]))
    for row in rows[1:]:
        row.missing, row.failure = rows[0].missing, rows[0].failure
    return rows
