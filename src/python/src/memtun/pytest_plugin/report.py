"""The section on a net in the report of a failed test: interfaces with their counters, routes and
neighbours, the last packets, and the programs with their output."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator

from .._errors import Error, PacketsLostError
from .._interface import Interface
from .._net import Net
from .._permissions import ALL
from .._programs import shown

_PACKETS = 20
_LINES = 40


def of(net: Net) -> str:
    """The text of the section. What can no longer be found out is left out, because the test's
    own failure matters more."""
    try:
        return "\n".join(_lines(net))
    except Error as e:
        return f"nothing to say: {e.strerror}"


def _lines(net: Net) -> Iterator[str]:
    denied = [name for name in ALL if name not in net.permissions]
    if denied:
        yield f"denied: {', '.join(denied)}"
    for spec in net.faults:
        yield f"fault: {spec}"
    interfaces = _interfaces(net)
    if not interfaces:
        yield "no interfaces"
    for interface in interfaces:
        yield str(interface.info())
    yield from (f"route: {route}" for route in net.routes)
    yield from (f"neighbour: {neighbour}" for neighbour in net.neighbours)
    unattached = sum(1 for tunnel in net.tunnels() if tunnel.name is None)
    if unattached:
        yield f"{unattached} open tunnels without an interface"
    packets = _packets(net, interfaces)
    if packets:
        yield f"last {len(packets)} packets (in: toward the program):"
        yield from packets
    for program in net._life.programs:
        yield f"program {program.pid}, {program.state}: {shown(program.args)}"
        output = (program.output or "").splitlines()
        if len(output) > _LINES:
            yield f"    ... {len(output) - _LINES} lines before these"
        yield from (f"    {line}" for line in output[-_LINES:])


def _interfaces(net: Net) -> list[Interface]:
    """The interfaces that exist, and those that the test has used and that are gone."""
    living = net.interfaces()
    gone = [i for i in net._interfaces.values() if i not in living]
    return sorted([*living, *gone], key=lambda i: i.info().index)


def _packets(net: Net, interfaces: list[Interface]) -> list[str]:
    last: deque[tuple[int, str, str, str]] = deque(maxlen=_PACKETS)
    for interface in interfaces:
        name = interface.name
        with contextlib.suppress(Error), interface.subscribe() as subscriber:
            while True:
                with contextlib.suppress(PacketsLostError):
                    packet = subscriber.recv(timeout=0)
                    last.append((packet.time_ns, name, "out", packet.describe()))
    injected = [(when, interface.name, "in ", describe(*of)) for when, interface, describe, *of in net._history]
    return [
        f"    {_clock(when)} {name} {direction} {text}"
        for when, name, direction, text in sorted([*last, *injected])[-_PACKETS:]
    ]


def _clock(time_ns: int) -> str:
    """The time of day with microseconds."""
    return time.strftime("%H:%M:%S", time.localtime(time_ns // 10**9)) + f".{time_ns // 1000 % 10**6:06}"
