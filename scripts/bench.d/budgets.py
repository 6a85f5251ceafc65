"""The measurements, one function for each budget of the design; each gives rows of the table.

Timings of a machine that others use as well are worth nothing by themselves: the sides take turns, A B A B, and what
is judged is the median of the ratios of neighbours."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from pathlib import Path

from sides import Callgrind, Failed, Hosts, Memtun, Unavailable, clean_environment, last_line, program, run
from table import Budget, Row

TIMES = ("{:.2f}", "times")
INSTRUCTIONS = ("{:+.1f}", "instructions")
MICROSECONDS = ("{:+.0f}", "µs")
KIB = ("{:.1f}", "KiB")


class Plan:
    """How much is measured, and the sides: each an object, or the `Unavailable` that says why not."""

    def __init__(self, quick: bool, scratch: Path):
        self.quick, self.scratch, self.sides = quick, scratch, {}

    def add(self, name: str, make, *arguments) -> None:
        try:
            self.sides[name] = make(*arguments)
        except Unavailable as reason:
            self.sides[name] = reason

    def side(self, name: str):
        if isinstance(self.sides[name], Unavailable):
            raise Unavailable(f"{name}: {self.sides[name]}")
        return self.sides[name]


class Sampler:
    """Takes samples for a row until one side is missing or fails, and leaves the reason there."""

    def __init__(self, row: Row):
        self.row = row

    def __enter__(self) -> Row:
        return self.row

    def __exit__(self, kind, error, trace) -> bool:
        if isinstance(error, Unavailable):
            self.row.missing = str(error)
        elif isinstance(error, Failed):
            self.row.failure = str(error)
        else:
            return False
        return True


def speed(ours, theirs):
    return theirs / ours


def more(ours, theirs):
    return ours - theirs


# ---------------------------------------------------------------- 1: instructions of a call that is not ours


def pass_through(plan: Plan) -> list:
    rows, plain = [], {}
    def calls(operation: str, side: str, *arguments) -> float:
        return count(plan, side, lambda n: [program("calls"), operation, n, *arguments], 1_000, 100_000)

    def row(what: str, operation: str, side: str, *arguments, budget: Budget = None) -> None:
        new = Row(what, more, *INSTRUCTIONS, budget, "no preload", "Ir")
        rows.append(new)
        with Sampler(new):
            if operation not in plain:
                plain[operation] = calls(operation, "no preload")
            new.theirs = [plain[operation]]
            new.ours = [calls(operation, side, *arguments)]

    limit = Budget(20)
    row("pass-through read, no tunnel in the process", "read", "memtun", budget=limit)
    row("pass-through read, a tunnel open", "read", "memtun", "tunnel", budget=limit)
    for side in ("umockdev", "socket_wrapper", "bare redhook"):
        row(f"... the same under {side}", "read", side)
    for operation in ("connect", "sendto", "recvfrom"):
        row(f"pass-through {operation}, no tunnel in the process", operation, "memtun", budget=Budget(12))
        if not plan.quick:
            row(f"pass-through {operation}, a tunnel open", operation, "memtun", "tunnel")
    if not plan.quick:
        for operation in ("write", "poll"):
            row(f"pass-through {operation}, no tunnel in the process", operation, "memtun")
            row(f"pass-through {operation}, a tunnel open", operation, "memtun", "tunnel")
    for what, kind in (
        ("instructions of inject then read, 32 at a time, 64 bytes", "bulk"),
        ("instructions of write then recv, 32 at a time, 64 bytes", "bulk-out"),
        ("instructions of inject one, read it, 64 bytes", "single"),
    ):
        new = Row(what, more, *INSTRUCTIONS, None, "", "Ir")
        rows.append(new)
        with Sampler(new):
            words = lambda n: [program("packets"), kind, 64, f"{n}x"]  # noqa: B023, E731
            new.ours = [count(plan, "memtun", words, 256, 256 * 40)]
    return rows


def count(plan: Plan, side: str, words, few: int, more_of_them: int) -> float:
    """Instructions of one: the difference of two runs, so that start and end of the program do not count."""
    callgrind: Callgrind = plan.side("valgrind")
    totals = []
    for n in (few, few + more_of_them):
        out = plan.side(side).run(*callgrind.words(words(n)))
        if side == "memtun" and "no memtun" in out:
            raise Failed("the library was loaded and is not active")
        totals.append(callgrind.total())
    return round((totals[1] - totals[0]) / more_of_them, 1)


# ---------------------------------------------------------------- 2 to 4: packets


def packets(plan: Plan) -> list:
    repetitions, seconds = (5, 0.06) if plan.quick else (15, 0.2)
    bulk, single, trip = Budget(30, True), Budget(2.5, True), Budget(1, True)
    wanted = [
        ("inject then read, 32 at a time, 64 bytes", "bulk", 64, bulk),
        ("inject then read, 32 at a time, 1,400 bytes", "bulk", 1400, bulk),
        ("send_udp then read, 32 at a time, 64 bytes", "bulk-udp", 64, None),
        ("inject then read, 32 at a time, 64 bytes, edge-triggered", "bulk-edge", 64, None),
        ("write then recv, 32 at a time, 64 bytes", "bulk-out", 64, None),
        ("inject one, read it, 64 bytes", "single", 64, single),
        ("... a FIFO byte in and out alone", "bell", 64, None),
        ("inject one, poll, read it, 64 bytes", "single-poll", 64, single),
        ("... a FIFO byte in, poll and out alone", "bell-poll", 64, None),
        ("round trip of two processes on one CPU, 64 bytes", "roundtrip", 64, trip),
        ("round trip of two processes on two CPUs, 64 bytes", "roundtrip-2", 64, trip),
    ]
    rows, runs = [], {}
    for what, kind, length, budget in wanted:
        row = Row(what, speed, *TIMES, budget, "kernel")
        # What the bell costs says how much of the cost is the kernel's, and how far a packet of its own can get.
        kernel, ours = kind.replace("bell", "single"), "no preload" if kind.startswith("bell") else "memtun"
        runs[what] = [
            (ours, row.ours, [program("packets"), kind, length, seconds]),
            ("kernel", row.theirs, [program("packets"), kernel, length, seconds]),
        ]
        if kind == "roundtrip-2" and len(os.sched_getaffinity(0)) < 2:
            row.missing = "one CPU"
        rows.append(row)
    possible = [row for row in rows if not row.missing]
    for _ in range(repetitions):
        for row in possible:
            if not row.failure:
                with Sampler(row):
                    one_of_each(plan, row, runs[row.what])
    return rows


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


# ---------------------------------------------------------------- ordinary sockets over a tunnel


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


# ---------------------------------------------------------------- 5: start-up


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


# ---------------------------------------------------------------- 6: addresses and routes


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


def speed_lost(ours, theirs):
    return ours / theirs


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


# ---------------------------------------------------------------- 7: a thousand tunnels


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


# ---------------------------------------------------------------- 8: Python


def python(plan: Plan) -> list:
    repetitions, seconds = (3, 0.15) if plan.quick else (5, 0.4)
    here = Path(__file__).parent
    other = "MemoryIOSystem"
    rows = [
        Row("Python: send a datagram, read it", speed, *TIMES, None, other),
        Row("Python: write a packet, receive its datagram", speed, *TIMES, None, other),
    ]
    with Sampler(rows[0]) as row:
        for _ in range(repetitions):
            memtun, interpreter = plan.side("memtun"), plan.side("Twisted")
            ours = memtun.run(interpreter, here / "memtun_side.py", seconds).split()
            theirs = run([interpreter, here / "twisted_side.py", seconds]).split()
            for row, a, b in zip(rows, ours, theirs):
                row.ours.append(float(a))
                row.theirs.append(float(b))
    rows[1].missing, rows[1].failure = rows[0].missing, rows[0].failure
    return rows
