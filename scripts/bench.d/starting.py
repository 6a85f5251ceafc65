"""What a program's start costs, and what the commands that configure an interface cost."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from plan import MICROSECONDS, TIMES, Plan, Sampler, more, speed_lost
from sides import Memtun, Unavailable, program, run
from table import Budget, Row


def start_up(plan: Plan) -> list:
    repetitions, count = (3, 25) if plan.quick else (5, 100)
    rows = []
    for what, path, own_net in (
        ("start of a program that returns 0, $MEMTUN_NET set", program("nothing"), False),
        ("start of a program that returns 0, net of its own", program("nothing"), True),
        ("start of /bin/true, $MEMTUN_NET set", "/bin/true", False),
    ):
        row = Row(what, more, *MICROSECONDS, Budget(200), "no preload", "µs")
        rows.append(row)
        with Sampler(row):
            memtun: Memtun = plan.side("memtun")
            words = [program("spawn"), str(count), memtun.library, path]
            for _ in range(repetitions):
                command = memtun.command(words, net=None if own_net else memtun.net(), preload=False)
                without, with_it = run(command).split()
                row.theirs.append(float(without) / 1000)
                row.ours.append(float(with_it) / 1000)
    return rows


def configuring(plan: Plan) -> list:
    show = Row("ip addr show, an interface in the net", speed_lost, *TIMES, Budget(1.5), "no preload", "µs")
    few, many = (50, 500) if plan.quick else (100, 2000)
    routes = Row(f"a route by ip -batch, of {many:,} and of {few}", speed_lost, *TIMES, Budget(2), f"of {few}", "µs")
    with Sampler(show):
        memtun, ip = plan.side("memtun"), ip_command()
        net = memtun.net()
        with_interface(memtun, net, ip)
        for _ in range(3 if plan.quick else 7):
            words = [program("spawn"), "40", memtun.library, ip, "addr", "show"]
            without, with_it = run(memtun.command(words, net=net, preload=False)).split()
            show.theirs.append(float(without) / 1000)
            show.ours.append(float(with_it) / 1000)
    with Sampler(routes):
        memtun, ip = plan.side("memtun"), ip_command()
        for _ in range(2 if plan.quick else 5):
            routes.theirs.append(route_cost(memtun, ip, few))
            routes.ours.append(route_cost(memtun, ip, many))
    return [show, routes]


def ip_command() -> str:
    found = shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None:
        raise Unavailable("ip: not installed (iproute2)")
    return found


def with_interface(memtun: Memtun, net: Path, ip: str) -> None:
    for words in ("tuntap add dev tun0 mode tun", "addr add 10.0.0.1/24 dev tun0", "link set tun0 up"):
        run(memtun.command([ip, *words.split()], net=net))


def route_cost(memtun: Memtun, ip: str, count: int) -> float:
    """Microseconds for one of so many routes, each a request of its own."""
    net = memtun.net()
    with_interface(memtun, net, ip)
    batch = memtun.scratch / "batch"
    numbers = range(count)
    batch.write_text("".join(f"route add 172.{16 + n // 65536}.{n // 256 % 256}.{n % 256} dev tun0\n" for n in numbers))
    batch.chmod(0o644)
    began = time.monotonic()
    run(memtun.command([ip, "-batch", batch], net=net))
    return (time.monotonic() - began) * 1e6 / count
