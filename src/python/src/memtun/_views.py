"""Snapshots of a net: interfaces, their tunnels and counters, as plain values."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Optional

from . import _library
from ._errors import Error
from ._handles import Handle
from ._packets import Packet


@dataclass(frozen=True)
class Counters:
    """As in /sys/class/net/NAME/statistics: the host *receives* what the program writes, and *transmits* what
    it reads."""

    rx_packets: int
    rx_bytes: int
    rx_dropped: int
    rx_frame_errors: int
    tx_packets: int
    tx_bytes: int
    tx_dropped: int
    capture_refused: int = 0
    """Packets that were refused because whoever captured was behind."""


@dataclass(frozen=True)
class Tunnel:
    """One open file description of a special device, as it was when it was asked for."""

    id: int
    """Another for every tunnel of a net."""
    name: Optional[str]
    """Its interface, None while unattached."""
    requested_name: Optional[str]
    """The name that the program gave to TUNSETIFF, None before."""
    mode: int
    """The flags that the program gave to TUNSETIFF."""
    open_flags: int
    """Flags of open(2), as they were last changed."""
    blocking: bool
    """Without O_NONBLOCK?"""
    close_on_exec: bool
    """Opened with O_CLOEXEC?"""
    queued: int
    """Packets that wait to be read."""
    _net: Handle = field(repr=False, compare=False)

    @property
    def read_buffer(self) -> list[Packet]:
        """What waits to be read *now*, oldest first. Empty when the tunnel is closed."""
        try:
            with self._net as net:
                described = json.loads(_library.text("memtun_net_describe_tunnel", net, self.id))
        except Error as e:
            if e.errno == errno.ENOENT:
                return []
            raise
        tap = self.mode & 0xF == 2
        return [Packet(bytes.fromhex(p["data"]), p["ethertype"], tap=tap) for p in described["read_buffer"]]


@dataclass(frozen=True)
class InterfaceInfo:
    """An interface, as it was when it was asked for; as text in the columns of ``ip -s link``."""

    name: str
    index: int
    kind: str
    """``tun`` or ``tap``."""
    state: str
    """``UP``, ``NO-CARRIER`` or ``DOWN``."""
    flags: frozenset[str]
    """As ``ip link`` writes them: ``UP``, ``POINTOPOINT`` ..."""
    carrier: bool
    """The link's carrier, also while the link is down."""
    mtu: int
    """Bytes."""
    txqueuelen: int
    """Packets."""
    mac: Optional[str]
    """Hardware address of a TAP."""
    owner: Optional[int]
    """The user who may attach without the permission ``"net_admin"``; None for any."""
    group: Optional[int]
    """The group whose members may; None for any."""
    persistent: bool
    pi: bool
    vnet_hdr: bool
    multi_queue: bool
    queued: int
    """Packets that wait to be read, in all its tunnels."""
    counters: Counters
    tunnels: tuple[Tunnel, ...]
    gone: bool

    @property
    def up(self) -> bool:
        """Has somebody set the link up?"""
        return "UP" in self.flags

    def __str__(self) -> str:
        c = self.counters
        flags = ",".join(sorted(self.flags))
        head = (
            f"{self.index}: {self.name}: <{flags}> mtu {self.mtu} state {self.state} qlen {self.txqueuelen}"
            f" queued {self.queued} tunnels {len(self.tunnels)}{' (gone)' if self.gone else ''}"
        )
        return "\n".join(
            [
                head,
                f"    {self.kind}{' ' + self.mac if self.mac else ''}{' persist' if self.persistent else ''}",
                f"    RX: {c.rx_packets} packets {c.rx_bytes} bytes {c.rx_dropped} dropped {c.rx_frame_errors} frame errors",
                f"    TX: {c.tx_packets} packets {c.tx_bytes} bytes {c.tx_dropped} dropped",
            ]
        )


def _members(kind: Any, described: Mapping[str, Any]) -> dict[str, Any]:
    """What the library says of the fields of a class. It may say more, and of some nothing."""
    return {f.name: described[f.name] for f in fields(kind) if f.name in described}


def tunnel(described: Mapping[str, Any], net: Handle) -> Tunnel:
    """From what the library says."""
    return Tunnel(**_members(Tunnel, described), _net=net)


def interface(described: Mapping[str, Any], net: Handle) -> InterfaceInfo:
    """From what the library says."""
    counters = {f"{side}_{name}": value for side in ("rx", "tx") for name, value in described[side].items()}
    converted = {
        "flags": frozenset(described["flags"]),
        "counters": Counters(**_members(Counters, {**described, **counters})),
        "tunnels": tuple(tunnel(t, net) for t in described["tunnels"]),
        "gone": described.get("gone", False),
    }
    return InterfaceInfo(**{**_members(InterfaceInfo, described), **converted})
