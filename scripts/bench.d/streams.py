"""Ordinary sockets over a tunnel, from host to host."""

from __future__ import annotations

from plan import TIMES, Plan, Sampler, speed, speed_lost
from sides import Failed, Hosts, Unavailable
from table import Budget, Row


def sockets(plan: Plan) -> list:
    rounds, seconds = (3, 0.15) if plan.quick else (9, 0.5)
    wanted = [
        ("TCP: bytes from host to host", "bytes", speed, Budget(1, True)),
        ("TCP: one byte there and back", "trip", speed_lost, Budget(2.5)),
        ("TCP: connect", "connect", speed_lost, Budget(3)),
        ("UDP: 64 bytes there and back", "udp-trip", speed_lost, Budget(2)),
        ("UDP: sendto of 64 bytes", "udp-send", speed, Budget(1, True)),
    ]
    rows = [Row(what, figure, *TIMES, budget, "kernel") for what, _, figure, budget in wanted]
    made = {}
    try:
        for side in ("memtun", "kernel"):
            try:
                made[side] = Hosts(plan.side(side))
            except Unavailable as reason:
                for row in rows:
                    row.missing = row.missing or str(reason)
            except Failed as error:
                for row in rows:
                    row.failure = f"{side}: {error}"
        for _ in range(rounds):
            for row, (_, kind, _, _) in zip(rows, wanted):
                if row.failure or row.missing:
                    continue
                with Sampler(row):
                    ours = made["memtun"].client(kind, seconds)
                    row.theirs.append(made["kernel"].client(kind, seconds))
                    row.ours.append(ours)
    finally:
        for hosts in made.values():
            hosts.end()
    return rows
