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
    """Counters as in /sys/class/net/NAME/statistics: the host *receives* what the program
    writes, and *transmits* what the program reads."""

    rx_packets: int
    rx_bytes: int
    rx_dropped: int
    rx_frame_errors: int
    tx_packets: int
    tx_bytes: int
    tx_dropped: int
    capture_refused: int = 0
    """Number of packets that were refused because the capturer was behind."""


@dataclass(frozen=True)
class Tunnel:
    """A snapshot of one open file description of a special device."""

    id: int
    """Number of the tunnel, which is different for every tunnel of a net."""
    name: Optional[str]
    """Name of the interface; None while the tunnel is unattached."""
    requested_name: Optional[str]
    """The name that the program gave to TUNSETIFF; None before that call."""
    mode: int
    """The flags that the program gave to TUNSETIFF."""
    open_flags: int
    """Flags of open(2) as they were last changed."""
    blocking: bool
    """Is the descriptor a blocking one, without O_NONBLOCK?"""
    close_on_exec: bool
    """Was the tunnel opened with O_CLOEXEC?"""
    queued: int
    """Number of packets that wait to be read."""
    _net: Handle = field(repr=False, compare=False)

    @property
    def read_buffer(self) -> list[Packet]:
        """The packets that wait to be read *now*, oldest first. It is empty when the tunnel is
        closed."""
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
    """A snapshot of an interface; as text it has the columns of ``ip -s link``."""

    name: str
    index: int
    kind: str
    """``tun`` or ``tap``."""
    state: str
    """``UP``, ``NO-CARRIER`` or ``DOWN``."""
    flags: frozenset[str]
    """Flags as ``ip link`` writes them: ``UP``, ``POINTOPOINT`` and others."""
    carrier: bool
    """Has the link a carrier? This is known also while the link is down."""
    mtu: int
    """Length of the largest packet in bytes."""
    txqueuelen: int
    """Number of packets that each read queue holds."""
    mac: Optional[str]
    """Hardware address of a TAP; None for a TUN."""
    addresses: tuple[str, ...]
    """The addresses that it has in its net, as ``ip address`` writes them."""
    owner: Optional[int]
    """The user who may attach without the permission ``"net_admin"``; None for any user."""
    group: Optional[int]
    """The group whose members may attach without that permission; None for any group."""
    persistent: bool
    pi: bool
    vnet_hdr: bool
    multi_queue: bool
    queued: int
    """Number of packets that wait to be read, in all tunnels of the interface."""
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
                *[f"    inet{'6' if ':' in address else ''} {address}" for address in self.addresses],
                f"    RX: {c.rx_packets} packets {c.rx_bytes} bytes {c.rx_dropped} dropped {c.rx_frame_errors} frame errors",
                f"    TX: {c.tx_packets} packets {c.tx_bytes} bytes {c.tx_dropped} dropped",
            ]
        )


def _members(kind: Any, described: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a class out of what the library says. It may say more, and leave some out."""
    return {f.name: described[f.name] for f in fields(kind) if f.name in described}


def tunnel(described: Mapping[str, Any], net: Handle) -> Tunnel:
    """The tunnel that the library describes."""
    return Tunnel(**_members(Tunnel, described), _net=net)


def interface(described: Mapping[str, Any], net: Handle) -> InterfaceInfo:
    """From what the library says."""
    counters = {f"{side}_{name}": value for side in ("rx", "tx") for name, value in described[side].items()}
    converted = {
        "flags": frozenset(described["flags"]),
        "addresses": tuple(address["text"] for address in described.get("addresses", [])),
        "counters": Counters(**_members(Counters, {**described, **counters})),
        "tunnels": tuple(tunnel(t, net) for t in described["tunnels"]),
        "gone": described.get("gone", False),
    }
    return InterfaceInfo(**{**_members(InterfaceInfo, described), **converted})
