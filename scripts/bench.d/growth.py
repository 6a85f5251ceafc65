"""What grows with the number of tunnels, queues, readers and faults, in instructions of one operation."""

from __future__ import annotations

from plan import Plan
from sides import Callgrind, Failed, Memtun, Unavailable, program, run
from table import Budget, Growth

SOME = [1, 10, 100, 1000]
WANTED = [
    ("inject one, read it, N tunnels in the process", "inject", SOME, Budget(1.2)),
    ("epoll_wait with N tunnels, nothing ready", "nothing", SOME, Budget(1.5)),
    ("epoll_wait with N tunnels, one ready", "nothing-ready", SOME, Budget(1.5)),
    ("a tunnel out of an epoll instance of N, and in again", "register", SOME, Budget(1.5)),
    ("poll of one of N tunnels, not ready", "poll", SOME, Budget(1.5)),
    ("open, attach and close one more of N tunnels", "open", SOME, Budget(1.5)),
    ("inject one, poll, read it, N queues of one interface", "queues", [1, 2, 8, 64], None),
    ("write, N queues of one interface", "queues-out", [1, 2, 8, 64], Budget(60, more=True)),
    ("write, N subscribers that do not read", "subscribers", [0, 1, 8, 64], Budget(1.1)),
    ("inject one, read it, N faults that do not strike", "faults", [0, 1, 8, 64], Budget(40, more=True, each=True)),
    ("write, N faults that do not strike", "faults-out", [0, 1, 8, 64], Budget(40, more=True, each=True)),
    ("inject one, read it, captured (1) or not (0)", "capture", [0, 1], None),
    ("write, captured (1) or not (0)", "capture-out", [0, 1], None),
]
# Of an operation that is slow enough to be counted a few times.
FEW = {"open": 20}


def growth(plan: Plan) -> list:
    rows = []
    for what, kind, numbers, budget in WANTED:
        if plan.quick:
            if budget is None:
                continue
            numbers = [numbers[0], max(n for n in numbers if n <= 100)]
        row = Growth(what, numbers, budget)
        rows.append(row)
        try:
            for number in numbers:
                row.figures.append(operation(plan, kind, number))
        except Unavailable as error:
            row.missing = str(error)
        except Failed as error:
            row.failure = f"N = {number:,}: {error}"
    return rows


def operation(plan: Plan, kind: str, number: int) -> float:
    """Instructions of one. Only `measured` of growth.c is counted."""
    callgrind: Callgrind = plan.side("valgrind")
    memtun, count = plan.side("memtun"), FEW.get(kind, 200)
    words = callgrind.words([program("growth"), kind, number, count], only="measured")
    if kind.startswith("capture") and number:
        run(captured(memtun, words))
    else:
        memtun.run(*words)
    return round(callgrind.total() / count, 1)


def captured(memtun: Memtun, words: list) -> list:
    """The command in a net of its own, in which somebody captures."""
    command = memtun.library.with_name("memtun")
    if not command.exists():
        raise Unavailable(f"no {command}")
    net = memtun.net()
    library = f"MEMTUN_LIBRARY={memtun.library}"
    capture = [command, "run", "--net", net, "--capture", net.with_suffix(".pcapng"), "--", *words]
    return memtun.command(["env", library, *capture], preload=False)
