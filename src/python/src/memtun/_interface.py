"""One interface of a net: packets and datagrams in, packets and datagrams out, link settings."""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass
from typing import Callable, Optional

from . import _library, _views
from ._addresses import Address, Host, any_host, host_text, pair, port_number, shown, source_for
from ._errors import Error, Gone
from ._handles import Handle
from ._packets import Data, Packet, data_of
from ._receive import Receiver, Subscriber
from ._users import Group, User, group_number, user_number
from ._views import Counters, InterfaceInfo, Tunnel
from ._waiting import Hopeless, Seconds, in_turns

# A failed test shows the line of the test that called, and what it was told.
__tracebackhide__ = True

_SIZE = 0xFFFF_FFFF
# As TUNSETOWNER has it: (uid_t)-1.
_NOBODY = 0xFFFF_FFFF


@dataclass(frozen=True)
class Injected:
    """A packet that this process put in."""

    time_ns: int
    interface: Interface
    describe: Callable[[], str]


History = deque[Injected]
"""The last packets that this process put in."""


class Link:
    """What ``ip link set`` can do to an interface."""

    def __init__(self, interface: Handle) -> None:
        self._handle = interface

    def _set(self, name: str, *value: object) -> None:
        with self._handle as pointer:
            _library.call(name, pointer, *value)

    def up(self) -> None:
        """As ``ip link set up``."""
        self._set("memtun_link_set_up", 1)

    def down(self) -> None:
        """As ``ip link set down``: what waits to be read stays, nothing more comes."""
        self._set("memtun_link_set_up", 0)

    def mtu(self, size: int) -> None:
        """Largest packet in bytes: 68 to 65535, to 65521 for a TAP."""
        self._set("memtun_link_set_mtu", _library.number(size, "mtu", 0, _SIZE))

    def txqueuelen(self, packets: int) -> None:
        """Packets that each read queue holds; of one that gets shorter the oldest stay."""
        self._set("memtun_link_set_txqlen", _library.number(packets, "txqueuelen", 0, _SIZE))

    def carrier(self, on: bool) -> None:
        """Link carrier."""
        self._set("memtun_link_set_carrier", int(bool(on)))

    def owner(self, user: Optional[User]) -> None:
        """The user, by name or number, who may attach where programs lack the permission ``"net_admin"``, as
        TUNSETOWNER; None for any."""
        self._set("memtun_link_set_owner", _NOBODY if user is None else user_number(user))

    def group(self, group: Optional[Group]) -> None:
        """The group, by name or number, whose members may attach where programs lack the permission
        ``"net_admin"``, as TUNSETGROUP; None for any."""
        self._set("memtun_link_set_group", _NOBODY if group is None else group_number(group))

    def rename(self, name: str) -> None:
        """Another name. EEXIST: it is taken."""
        self._set("memtun_link_set_name", _library.c_text(name, "name"))

    def delete(self) -> None:
        """Deletes the interface under the program."""
        self._set("memtun_link_del")


class Interface:
    """An interface of a net. What was written can still be received after it is gone."""

    def __init__(
        self, handle: Handle, net: Handle, history: History, hopeless: Optional[Hopeless] = None
    ) -> None:
        self._handle = handle
        self._net = net
        self._history = history
        self._hopeless = hopeless
        self.link = Link(handle)
        """Link settings."""
        info = self.info()
        self._tap = info.kind == "tap"
        # From the oldest packet kept when the interface was asked for.
        self._subscriber = Subscriber(handle, self._tap, hopeless)

    def info(self) -> InterfaceInfo:
        """All that is known of it."""
        with self._handle as pointer:
            described = json.loads(_library.text("memtun_describe_interface", pointer))
        return _views.interface(described, self._net)

    @property
    def name(self) -> str:
        """Its name now."""
        return self.info().name

    @property
    def counters(self) -> Counters:
        """Its counters now."""
        return self.info().counters

    @property
    def gone(self) -> bool:
        """Has it been deleted, or did its last tunnel end?"""
        return self.info().gone

    def tunnels(self) -> list[Tunnel]:
        """The tunnels that are attached to it, in the order of their attachment."""
        return list(self.info().tunnels)

    def inject(self, frame: Data, ethertype: Optional[int] = None, timeout: Seconds = 5.0) -> None:
        """Puts a packet into the program's read queue as it is; when this returns it is readable. Without
        ``ethertype`` it is taken from the packet.

        :raises Timeout: the queue stayed full
        :raises Gone: the interface is gone
        :raises Error: ENETDOWN the link is down; EMSGSIZE over the mtu; ENOTCONN no program attached
        """
        data = data_of(frame)
        kind = 0 if ethertype is None else _library.number(ethertype, "ethertype", 1, 0xFFFF)
        begun = time.time_ns()
        with self._handle as pointer:
            in_turns(
                lambda ms: _library.call("memtun_offer", pointer, data, len(data), kind, 0, ms),
                timeout,
                # Refused for good it is counted, once.
                lambda ms: _library.call("memtun_inject", pointer, data, len(data), kind, ms),
                self._gone,
            )
        self._record(begun, Packet(data, kind, tap=self._tap).describe)

    def deliver(self, ip_packet: Data, timeout: Seconds = 5.0) -> None:
        """Puts an IP packet into the program's read queue; a TAP gets an Ethernet header in front. Else as
        :meth:`inject`."""
        data = data_of(ip_packet)
        begun = time.time_ns()
        with self._handle as pointer:
            in_turns(
                lambda ms: _library.call("memtun_offer", pointer, data, len(data), 0, 1, ms),
                timeout,
                lambda ms: _library.call("memtun_deliver", pointer, data, len(data), ms),
                self._gone,
            )
        self._record(begun, Packet(data).describe)

    def send_udp(
        self,
        data: Data,
        address: tuple[Host, int],
        source: Optional[tuple[Host, int]] = None,
        timeout: Seconds = 5.0,
    ) -> Address:
        """Sends a datagram to the program, checksums right, from ``source`` (10.1.2.3 or fd00:1:2::3, port
        21345, unless told otherwise; port 0 is that port too). Returns the source address. Else as
        :meth:`inject`."""
        payload = data_of(data)
        host, port = pair(address, "address")
        sender = source_for(source, host)
        from_host, from_port = host_text(sender[0]), sender[1]
        begun = time.time_ns()
        with self._handle as pointer:
            what = (pointer, from_host, from_port, host, port, payload, len(payload))
            in_turns(
                lambda ms: _library.call("memtun_offer_udp", *what, ms),
                timeout,
                lambda ms: _library.call("memtun_send_udp", *what, ms),
                self._gone,
            )
        to = (host.decode(), port)
        self._record(begun, lambda: f"{shown(sender)} > {shown(to)} UDP {len(payload)} bytes")
        return sender

    def _gone(self, e: Error) -> Optional[Error]:
        """A full queue stays what it is: that nobody is left who could read is said in its own time."""
        return self._hopeless(e) if self._hopeless is not None and isinstance(e, Gone) else None

    def _record(self, time_ns: int, describe: Callable[[], str]) -> None:
        self._history.append(Injected(time_ns, self, describe))

    def receive_udp(self, host: Optional[Host], port: int) -> Receiver:
        """Receives the datagrams that the program sends to this host (None or "": any) and port, from the
        oldest packet kept."""
        return Receiver(self._handle, any_host(host), port_number(port), self._hopeless)

    def recv(self, timeout: Seconds = 5.0) -> Packet:
        """The next packet that the program wrote; each once, from the oldest kept when the interface was
        asked for. Else as
        :meth:`Subscriber.recv`."""
        return self._subscriber.recv(timeout)

    def subscribe(self) -> Subscriber:
        """Another reader of every packet, with a place of its own."""
        return Subscriber(self._handle, self._tap, self._hopeless)

    def close(self) -> None:
        """Ends this handle; the interface itself is not touched."""
        self._subscriber.close()
        self._handle.close()

    def __repr__(self) -> str:
        if self._handle.closed:
            return "<memtun.Interface closed>"
        info = self.info()
        return f"<memtun.Interface {info.name} {info.kind} {'gone' if info.gone else info.state}>"
