"""What is counted in instructions, which are the same on every machine: calls that are not ours, and packets."""

from __future__ import annotations

from plan import COUNT, INSTRUCTIONS, Plan, Sampler, alone, count, more
from sides import program
from table import Budget, Row


def pass_through(plan: Plan) -> list:
    """What a hook costs a call on a descriptor that is not a tunnel."""
    rows, plain = [], {}

    def calls(operation: str, side: str, *arguments) -> float:
        return count(plan, side, lambda n: [program("calls"), operation, n, *arguments], 1_000, 20_000)

    def row(what: str, operation: str, side: str, *arguments, budget: Budget = None) -> None:
        new = Row(what, more, *INSTRUCTIONS, budget, "no preload", "Ir")
        rows.append(new)
        with Sampler(new):
            if operation not in plain:
                plain[operation] = calls(operation, "no preload")
            new.theirs = [plain[operation]]
            new.ours = [calls(operation, side, *arguments)]

    budgets = {"read": Budget(9), "write": Budget(9), "poll": Budget(20)}
    for operation in ("read", "write", "poll"):
        row(f"pass-through {operation}, no tunnel in the process", operation, "memtun", budget=budgets[operation])
        if operation == "read":
            row("pass-through read, a tunnel open", "read", "memtun", "tunnel", budget=Budget(20))
            for side in ("umockdev", "socket_wrapper", "bare redhook"):
                row(f"... the same under {side}", "read", side)
        elif not plan.quick:
            row(f"pass-through {operation}, a tunnel open", operation, "memtun", "tunnel")
    for operation in () if plan.quick else ("connect", "sendto", "recvfrom"):
        row(f"pass-through {operation}, no tunnel in the process", operation, "memtun", budget=Budget(12))
        row(f"pass-through {operation}, a tunnel open", operation, "memtun", "tunnel")
    return rows


# Kinds of packets.c, with 64 bytes, and what each may cost.
PACKETS = [
    ("inject then read, 32 at a time", "bulk", Budget(550)),
    ("inject 32 by one call, read them", "bulk-many", Budget(400)),
    ("inject one, read it", "single", Budget(600)),
    ("inject one, poll, read it", "single-poll", Budget(850)),
    ("send_udp then read, 32 at a time", "bulk-udp", None),
    ("write then recv, 32 at a time", "bulk-out", None),
    ("write 32, receive them by one call", "bulk-out-many", None),
]


def counted(plan: Plan) -> list:
    """Packets of 64 bytes. The floor is the copy in and the copy out, with a loop around them."""
    rows = [Row(f"{what}, 64 bytes", alone, *COUNT, budget, unit="Ir") for what, _, budget in PACKETS]
    floor = None
    for row, (_, kind, _) in zip(rows, PACKETS):
        with Sampler(row):
            if floor is None:
                floor = count(plan, "no preload", lambda n: [program("floor"), "copy", 64, f"{n}x"], 256, 256 * 40)
            words = lambda n: [program("packets"), kind, 64, f"{n}x"]  # noqa: B023, E731
            row.ours = [count(plan, "memtun", words, 256, 256 * 40)]
            row.floor = [floor]
    return rows
