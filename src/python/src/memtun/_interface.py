"""One interface of a net: packets and datagrams in, packets and datagrams out, link settings."""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass
from typing import Callable, Optional, overload

from . import _library, _views
from ._addresses import Address, Host, any_host, host_text, mac_bytes, pair, port_number, shown, source_for
from ._errors import Error, GoneError
from ._handles import Handle
from ._packets import Data, Packet, data_of
from ._receive import Receiver, Subscriber
from ._users import Group, User, group_number, user_number
from ._views import Counters, InterfaceInfo, Tunnel
from ._waiting import DEFAULT_TIMEOUT, Hopeless, Seconds, in_turns

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


class Interface:
    """An interface of a net. What was written can still be received after it is gone."""

    def __init__(
        self, handle: Handle, net: Handle, history: History, hopeless: Optional[Hopeless] = None
    ) -> None:
        self._handle = handle
        self._net = net
        self._history = history
        self._hopeless = hopeless
        info = self.info()
        self._tap = info.kind == "tap"
        # From the oldest packet kept when the interface was asked for.
        self._subscriber = Subscriber(handle, self._tap, hopeless)

    def info(self) -> InterfaceInfo:
        """All that is known of it."""
        with self._handle as pointer:
            described = json.loads(_library.text("memtun_interface_describe", pointer))
        return _views.interface(described, self._net)

    def _set(self, setting: str, *value: object) -> None:
        with self._handle as pointer:
            _library.call(f"memtun_interface_set_{setting}", pointer, *value)

    @property
    def name(self) -> str:
        """Its name now. Set, it is renamed as by ``ip link set name``; EEXIST: the name is taken."""
        return self.info().name

    @name.setter
    def name(self, name: str) -> None:
        self._set("name", _library.c_text(name, "name"))

    @property
    def up(self) -> bool:
        """Is the link up? As ``ip link set up`` and ``down``: while it is down, what waits to be read stays, and
        nothing more comes."""
        return self.info().up

    @up.setter
    def up(self, up: bool) -> None:
        self._set("up", int(bool(up)))

    @property
    def carrier(self) -> bool:
        """The link's carrier, as TUNSETCARRIER."""
        return self.info().carrier

    @carrier.setter
    def carrier(self, on: bool) -> None:
        self._set("carrier", int(bool(on)))

    @property
    def mtu(self) -> int:
        """Largest packet in bytes: 68 to 65535, to 65521 for a TAP."""
        return self.info().mtu

    @mtu.setter
    def mtu(self, size: int) -> None:
        self._set("mtu", _library.number(size, "mtu", 0, _SIZE))

    @property
    def txqueuelen(self) -> int:
        """Packets that each read queue holds; of one that gets shorter the oldest stay."""
        return self.info().txqueuelen

    @txqueuelen.setter
    def txqueuelen(self, packets: int) -> None:
        self._set("txqueuelen", _library.number(packets, "txqueuelen", 0, _SIZE))

    @property
    def mac(self) -> Optional[str]:
        """Hardware address of a TAP, as ``02:00:00:00:00:07``; None of a TUN, which has none to set. EADDRNOTAVAIL:
        the address is a group's, or zeros."""
        return self.info().mac

    @mac.setter
    def mac(self, address: str) -> None:
        self._set("mac", mac_bytes(address))

    @property
    def owner(self) -> Optional[int]:
        """The user who may attach where programs lack the permission ``"net_admin"``, as TUNSETOWNER; None for
        any. Set by name or number."""
        return self.info().owner

    @owner.setter
    def owner(self, user: Optional[User]) -> None:
        self._set("owner", _NOBODY if user is None else user_number(user))

    @property
    def group(self) -> Optional[int]:
        """The group whose members may attach where programs lack the permission ``"net_admin"``, as TUNSETGROUP;
        None for any. Set by name or number."""
        return self.info().group

    @group.setter
    def group(self, group: Optional[Group]) -> None:
        self._set("group", _NOBODY if group is None else group_number(group))

    @property
    def link(self) -> Link:
        """The link settings as methods, which came before the properties."""
        return Link(self)

    def delete(self) -> None:
        """Deletes the interface under the program, as ``ip link del``."""
        with self._handle as pointer:
            _library.call("memtun_interface_delete", pointer)

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

    def inject(
        self, frame: Data, *, ethertype: Optional[int] = None, timeout: Seconds = DEFAULT_TIMEOUT
    ) -> None:
        """Puts a packet into the program's read queue as it is; when this returns it is readable. Without
        ``ethertype`` it is taken from the packet.

        :raises FullError: the queue stayed full, or whoever captures it behind
        :raises GoneError: the interface is gone
        :raises Error: of the kinds LINK_DOWN, TOO_LARGE (over the mtu), NOT_ATTACHED (no program is)
        """
        data = data_of(frame)
        kind = 0 if ethertype is None else _library.number(ethertype, "ethertype", 1, 0xFFFF)
        begun = time.time_ns()
        with self._handle as pointer:
            in_turns(
                lambda ms: _library.call("memtun_interface_offer", pointer, data, len(data), kind, ms),
                timeout,
                # Refused for good it is counted, once.
                lambda ms: _library.call("memtun_interface_inject", pointer, data, len(data), kind, ms),
                self._gone,
            )
        self._record(begun, Packet(data, kind, tap=self._tap).describe)

    def deliver(self, ip_packet: Data, *, timeout: Seconds = DEFAULT_TIMEOUT) -> None:
        """Puts an IP packet into the program's read queue; a TAP gets an Ethernet header in front. Else as
        :meth:`inject`."""
        data = data_of(ip_packet)
        begun = time.time_ns()
        with self._handle as pointer:
            in_turns(
                lambda ms: _library.call("memtun_interface_offer_ip", pointer, data, len(data), ms),
                timeout,
                lambda ms: _library.call("memtun_interface_deliver", pointer, data, len(data), ms),
                self._gone,
            )
        self._record(begun, Packet(data).describe)

    def send_udp(
        self,
        data: Data,
        address: tuple[Host, int],
        *,
        source: Optional[tuple[Host, int]] = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
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
                lambda ms: _library.call("memtun_interface_offer_udp", *what, ms),
                timeout,
                lambda ms: _library.call("memtun_interface_send_udp", *what, ms),
                self._gone,
            )
        to = (host.decode(), port)
        self._record(begun, lambda: f"{shown(sender)} > {shown(to)} UDP {len(payload)} bytes")
        return sender

    def _gone(self, e: Error) -> Optional[Error]:
        """A full queue stays what it is: that nobody is left who could read is said in its own time."""
        return self._hopeless(e) if self._hopeless is not None and isinstance(e, GoneError) else None

    def _record(self, time_ns: int, describe: Callable[[], str]) -> None:
        self._history.append(Injected(time_ns, self, describe))

    @overload
    def receive_udp(self, host: Optional[Host], port: int) -> Receiver: ...

    @overload
    def receive_udp(self, *, port: int) -> Receiver: ...

    def receive_udp(self, host: Optional[Host] = None, port: Optional[int] = None) -> Receiver:
        """Receives the datagrams that the program sends to this host and port, from the oldest packet kept.
        Without a host, as ``receive_udp(port=7)``, to any; None, "" or "::" say the same, and "0.0.0.0" is any
        of IPv4."""
        if port is None:
            raise TypeError("receive_udp() needs a port")
        return Receiver(self._handle, any_host(host), port_number(port), self._hopeless)

    def recv(self, *, timeout: Seconds = DEFAULT_TIMEOUT) -> Packet:
        """The next packet that the program wrote; each once, from the oldest kept when the interface was
        asked for. Else as :meth:`Subscriber.recv`."""
        return self._subscriber.recv(timeout=timeout)

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


class Link:
    """The link settings of an interface as methods: what its properties do as well, which came later."""

    def __init__(self, interface: Interface) -> None:
        self._interface = interface

    def up(self) -> None:
        """As ``interface.up = True``."""
        self._interface.up = True

    def down(self) -> None:
        """As ``interface.up = False``."""
        self._interface.up = False

    def mtu(self, size: int) -> None:
        """As ``interface.mtu = size``."""
        self._interface.mtu = size

    def txqueuelen(self, packets: int) -> None:
        """As ``interface.txqueuelen = packets``."""
        self._interface.txqueuelen = packets

    def carrier(self, on: bool) -> None:
        """As ``interface.carrier = on``."""
        self._interface.carrier = on

    def owner(self, user: Optional[User]) -> None:
        """As ``interface.owner = user``."""
        self._interface.owner = user

    def group(self, group: Optional[Group]) -> None:
        """As ``interface.group = group``."""
        self._interface.group = group

    def rename(self, name: str) -> None:
        """As ``interface.name = name``."""
        self._interface.name = name

    def delete(self) -> None:
        """As ``interface.delete()``."""
        self._interface.delete()
