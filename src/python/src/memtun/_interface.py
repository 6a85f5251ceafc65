"""One interface of a net: packets and datagrams in, packets and datagrams out, and link
settings."""

from __future__ import annotations

import functools
import json
from collections import deque
from collections.abc import Iterable
from ctypes import c_char_p, c_int, c_uint16
from time import time_ns
from typing import Any, Callable, Optional, overload

from . import _library, _views
from ._addresses import Address, Host, any_host, host_text, mac_bytes, pair, port_number, shown, source_for
from ._errors import Error, GoneError
from ._handles import Handle
from ._host import Addresses, Words
from ._many import Batch
from ._packets import Data, Packet, data_of
from ._receive import Receiver, Subscriber
from ._users import Group, User, group_number, user_number
from ._views import Counters, InterfaceInfo, Tunnel
from ._waiting import DEFAULT_TIMEOUT, MOMENT, Hopeless, Seconds, in_turns, may_wait

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

_SIZE = 0xFFFF_FFFF
# The number for any user in TUNSETOWNER: (uid_t)-1.
_NOBODY = 0xFFFF_FFFF


# The functions that are called for packets.
_FUNCTIONS = (
    *("inject", "offer", "deliver", "offer_ip", "send_udp", "offer_udp"),
    *("inject_many", "offer_many", "send_udp_many", "offer_udp_many"),
)
# How many ways of datagrams are remembered.
_WAYS = 256

Injected = tuple[Any, ...]
"""A packet that this process has injected: the time in nanoseconds since 1970, the interface, and a
function and its arguments that say in words what it was. It is a plain tuple because one is made for
each packet."""

History = deque[Injected]
"""The last packets that this process has injected."""

Way = tuple[object, object, Address, Any, Any, Any, Any, Address]
"""From where to where a datagram goes: the address and the source that the caller gave, its source,
both as the library takes them, and its destination."""


class Interface:
    """An interface of a net. What the program wrote can still be received after the interface is
    gone."""

    def __init__(
        self, handle: Handle, net: Handle, history: History, hopeless: Optional[Hopeless] = None
    ) -> None:
        self._handle = handle
        self._net = net
        self._history = history
        self._hopeless = hopeless
        self._addresses = Addresses(handle)
        self._ways: dict[object, Way] = {}
        # No caller gives this way's address.
        self._last: Way = (object(), None, ("", 0), None, None, None, None, ("", 0))
        self._functions = {name: _library.prepared(f"memtun_interface_{name}") for name in _FUNCTIONS}
        self._offer, self._offer_udp = self._functions["offer"], self._functions["offer_udp"]
        info = self.info()
        self._tap = info.kind == "tap"
        # It begins with the oldest packet that is kept at the moment when the interface is asked
        # for.
        self._subscriber = Subscriber(handle, self._tap, hopeless)

    def info(self) -> InterfaceInfo:
        """A snapshot of all that is known of the interface."""
        with self._handle as pointer:
            described = json.loads(_library.text("memtun_interface_describe", pointer))
        return _views.interface(described, self._net)

    def _set(self, setting: str, *value: object) -> None:
        with self._handle as pointer:
            _library.call(f"memtun_interface_set_{setting}", pointer, *value)

    @property
    def name(self) -> str:
        """Name of the interface now. Setting it renames the interface as ``ip link set name``
        does; EEXIST: the name is taken."""
        return self.info().name

    @name.setter
    def name(self, name: str) -> None:
        self._set("name", _library.c_text(name, "name"))

    @property
    def up(self) -> bool:
        """Is the link up? Setting it does what ``ip link set up`` and ``down`` do: while the
        link is down, packets that wait to be read stay, and no more come."""
        return self.info().up

    @up.setter
    def up(self, up: bool) -> None:
        self._set("up", int(bool(up)))

    @property
    def carrier(self) -> bool:
        """Has the link a carrier? Setting it does what TUNSETCARRIER does."""
        return self.info().carrier

    @carrier.setter
    def carrier(self, on: bool) -> None:
        self._set("carrier", int(bool(on)))

    @property
    def mtu(self) -> int:
        """Length of the largest packet in bytes: 68 to 65535, at most 65521 for a TAP."""
        return self.info().mtu

    @mtu.setter
    def mtu(self, size: int) -> None:
        self._set("mtu", _library.number(size, "mtu", 0, _SIZE))

    @property
    def txqueuelen(self) -> int:
        """Number of packets that each read queue holds. In a queue that becomes shorter the
        oldest packets stay."""
        return self.info().txqueuelen

    @txqueuelen.setter
    def txqueuelen(self, packets: int) -> None:
        self._set("txqueuelen", _library.number(packets, "txqueuelen", 0, _SIZE))

    @property
    def mac(self) -> Optional[str]:
        """Hardware address of a TAP, as ``02:00:00:00:00:07``; None for a TUN, which has none to
        set. EADDRNOTAVAIL: the address is a multicast address or all zeros."""
        return self.info().mac

    @mac.setter
    def mac(self, address: str) -> None:
        self._set("mac", mac_bytes(address))

    @property
    def addresses(self) -> Addresses:
        """The addresses, as a live set: ``tun.addresses.add("10.0.0.1/24")``. Setting it adds
        those that are missing and removes the others, but for the link-local ones."""
        return self._addresses

    @addresses.setter
    def addresses(self, addresses: Iterable[Words]) -> None:
        self._addresses.become(addresses)

    @property
    def owner(self) -> Optional[int]:
        """The user who may attach when programs lack the permission ``"net_admin"``, as with
        TUNSETOWNER; None for any user. It can be set by name or number."""
        return self.info().owner

    @owner.setter
    def owner(self, user: Optional[User]) -> None:
        self._set("owner", _NOBODY if user is None else user_number(user))

    @property
    def group(self) -> Optional[int]:
        """The group whose members may attach when programs lack the permission ``"net_admin"``,
        as with TUNSETGROUP; None for any group. It can be set by name or number."""
        return self.info().group

    @group.setter
    def group(self, group: Optional[Group]) -> None:
        self._set("group", _NOBODY if group is None else group_number(group))

    @property
    def link(self) -> Link:
        """The link settings as methods, which are older than the properties."""
        return Link(self)

    def delete(self) -> None:
        """Deletes the interface under the program, as ``ip link del`` does."""
        with self._handle as pointer:
            _library.call("memtun_interface_delete", pointer)

    @property
    def counters(self) -> Counters:
        """Counters of the interface now."""
        return self.info().counters

    @property
    def gone(self) -> bool:
        """Has the interface been deleted, or has its last tunnel ended?"""
        return self.info().gone

    def tunnels(self) -> list[Tunnel]:
        """The tunnels that are attached to the interface, in the order of their attachment."""
        return list(self.info().tunnels)

    def inject(
        self, frame: Data, *, ethertype: Optional[int] = None, timeout: Seconds = DEFAULT_TIMEOUT
    ) -> None:
        """Puts a packet as it is into the program's read queue; when this returns, the program
        can read it. Without ``ethertype`` it is taken from the packet.

        :raises FullError: the queue stayed full, or the capturer stayed behind
        :raises GoneError: the interface is gone
        :raises Error: the kind is LINK_DOWN, TOO_LARGE (the packet is larger than the MTU) or
            NOT_ATTACHED (no program is)
        """
        data = frame if type(frame) is bytes else data_of(frame)
        kind, kind_of = 0, _NO_KIND
        if ethertype is not None:
            kind = _library.number(ethertype, "ethertype", 1, 0xFFFF)
            kind_of = _kind(kind)
        begun, length = time_ns(), _size(len(data))
        first: Optional[int] = None
        if timeout is DEFAULT_TIMEOUT or may_wait(timeout):
            handle = self._handle
            handle.users.append(None)
            try:
                first = self._offer(handle.value, data, length, kind_of, MOMENT)
            finally:
                handle.users.pop()
                if handle.value is None:
                    handle.free_unused()
        if first != 0:
            self._in_turns("offer", "inject", timeout, first or 0, data, length, kind_of)
        self._history.append((begun, self, _frame, data, kind, self._tap))

    def inject_many(
        self, frames: Iterable[Data], *, ethertype: Optional[int] = None, timeout: Seconds = DEFAULT_TIMEOUT
    ) -> None:
        """Puts packets into the program's read queue, in their order, each as :meth:`inject` does.
        It costs less than as many calls. The time is for all of them together. The attribute
        ``done`` of an error says how many were put before the one that was refused; those behind
        it were not looked at."""
        kind = 0 if ethertype is None else _library.number(ethertype, "ethertype", 1, 0xFFFF)
        batch = Batch(frames)
        begun = time_ns()
        try:
            self._go(batch, "inject_many", "offer_many", (), (_kind(kind),), timeout)
        finally:
            for data in batch.packets[: batch.done][-(self._history.maxlen or 0) :]:
                self._history.append((begun, self, _frame, data, kind, self._tap))

    def _in_turns(
        self, offer: str, send: str, timeout: Seconds, first: int, *arguments: object
    ) -> None:
        """Makes a call that puts a packet into the queue. ``first`` is the answer of the short turn
        that was made already, if one was: that is what a packet costs which finds room."""
        if self._handle.closed:
            self._handle.refuse()

        def turn(name: str, ms: int) -> None:
            refused = self._handle.call(self._functions[name], *arguments, c_int(ms))
            if refused < 0:
                _library.fail(-refused)

        # The last turn counts a packet that is refused for good, once.
        in_turns(lambda ms: turn(offer, ms), timeout, lambda ms: turn(send, ms), self._gone, first)

    def _go(
        self,
        batch: Batch,
        send: str,
        offer: str,
        before: tuple[object, ...],
        behind: tuple[object, ...],
        timeout: Seconds,
    ) -> None:
        """Hands many packets over; ``before`` and ``behind`` are the arguments around them."""

        def through(name: str) -> Callable[..., int]:
            function = self._functions[name]
            return lambda at, count, done, ms: self._handle.call(
                function, *before, at, count, *behind, done, ms
            )

        batch.go(through(offer), through(send), timeout, self._gone)

    def deliver(self, ip_packet: Data, *, timeout: Seconds = DEFAULT_TIMEOUT) -> None:
        """Puts an IP packet into the program's read queue; a TAP gets an Ethernet header in
        front. In everything else this is as :meth:`inject`."""
        data = data_of(ip_packet)
        begun = time_ns()
        self._in_turns("offer_ip", "deliver", timeout, 0, data, _size(len(data)))
        self._history.append((begun, self, _frame, data, 0, False))

    def send_udp(
        self,
        data: Data,
        address: tuple[Host, int],
        *,
        source: Optional[tuple[Host, int]] = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
    ) -> Address:
        """Sends a datagram with right checksums to the program, from ``source`` (by default
        10.1.2.3 or fd00:1:2::3, port 21345; port 0 stands for that port, too). Returns the
        source address. In everything else this is as :meth:`inject`."""
        payload = data if type(data) is bytes else data_of(data)
        known, given, sender, from_host, from_port, to_host, to_port, to = self._last
        if known is not address or given is not source:
            _, _, sender, from_host, from_port, to_host, to_port, to = self._way(address, source)
        length = len(payload)
        begun, size = time_ns(), _SIZES[length] if length < _READY else _size(length)
        first: Optional[int] = None
        if timeout is DEFAULT_TIMEOUT or may_wait(timeout):
            handle = self._handle
            users = handle.users
            users.append(None)
            try:
                first = self._offer_udp(
                    handle.value, from_host, from_port, to_host, to_port, payload, size, MOMENT
                )
            finally:
                users.pop()
                if handle.value is None:
                    handle.free_unused()
        if first != 0:
            names = (from_host, from_port, to_host, to_port)
            self._in_turns("offer_udp", "send_udp", timeout, first or 0, *names, payload, size)
        self._history.append((begun, self, _datagram, sender, to, length))
        return sender

    def send_udp_many(
        self,
        datagrams: Iterable[Data],
        address: tuple[Host, int],
        *,
        source: Optional[tuple[Host, int]] = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
    ) -> Address:
        """Sends datagrams to one address, each as :meth:`send_udp` does. When one of them is too
        long, none is sent. In everything else this is as :meth:`inject_many`."""
        batch = Batch(datagrams)
        _, _, sender, *names, to = self._way(address, source)
        begun = time_ns()
        try:
            self._go(batch, "send_udp_many", "offer_udp_many", tuple(names), (), timeout)
        finally:
            for data in batch.packets[: batch.done][-(self._history.maxlen or 0) :]:
                self._history.append((begun, self, _datagram, sender, to, len(data)))
        return sender

    def _way(self, address: tuple[Host, int], source: Optional[tuple[Host, int]]) -> Way:
        """The way of a datagram, which is remembered for the next one: the very tuple of the last
        call is known without a look at what is in it."""
        try:
            way = self._ways[address, source]
        except (KeyError, TypeError):
            way = self._new_way(address, source)
        self._last = way
        return way

    def _new_way(self, address: tuple[Host, int], source: Optional[tuple[Host, int]]) -> Way:
        host, port = pair(address, "address")
        sender = source_for(source, host)
        # The library knows its default without reading a text.
        from_host = None if source is None else c_char_p.from_param(host_text(sender[0]))
        from_port = c_uint16.from_param(0 if source is None else sender[1])
        to_host, to_port = c_char_p.from_param(host), c_uint16.from_param(port)
        way = (address, source, sender, from_host, from_port, to_host, to_port, (host.decode(), port))
        if len(self._ways) >= _WAYS:
            self._ways.clear()
        self._ways[address, source] = way
        return way

    def _gone(self, e: Error) -> Optional[Error]:
        """The error that names the programs' end when the interface is gone. A full queue keeps
        its own error, because another call reports that nobody is left to read."""
        return self._hopeless(e) if self._hopeless is not None and isinstance(e, GoneError) else None

    @overload
    def receive_udp(self, host: Optional[Host], port: int) -> Receiver: ...

    @overload
    def receive_udp(self, *, port: int) -> Receiver: ...

    def receive_udp(self, host: Optional[Host] = None, port: Optional[int] = None) -> Receiver:
        """Receives the datagrams that the program sends to this host and port, from the oldest
        packet that is kept. Without a host, as in ``receive_udp(port=7)``, it receives those to
        any host; None, "" and "::" mean the same, and "0.0.0.0" is any of IPv4."""
        if port is None:
            raise TypeError("receive_udp() needs a port")
        return Receiver(self._handle, any_host(host), port_number(port), self._hopeless)

    def recv(self, *, timeout: Seconds = DEFAULT_TIMEOUT) -> Packet:
        """The next packet that the program wrote, from the oldest that was kept when the
        interface was asked for. Each packet is given once. In everything else this is as
        :meth:`Subscriber.recv`."""
        return self._subscriber.recv(timeout=timeout)

    def recv_many(self, most: int = 64, *, timeout: Seconds = DEFAULT_TIMEOUT) -> list[Packet]:
        """The next packets that the program wrote, at the position of :meth:`recv`. In everything
        else this is as :meth:`Subscriber.recv_many`."""
        return self._subscriber.recv_many(most, timeout=timeout)

    def subscribe(self) -> Subscriber:
        """Another reader of every packet, with a position of its own."""
        return Subscriber(self._handle, self._tap, self._hopeless)

    def close(self) -> None:
        """Closes this handle; the interface itself is not touched."""
        self._subscriber.close()
        self._handle.close()

    def __repr__(self) -> str:
        if self._handle.closed:
            return "<memtun.Interface closed>"
        info = self.info()
        return f"<memtun.Interface {info.name} {info.kind} {'gone' if info.gone else info.state}>"


def _frame(data: bytes, ethertype: int, tap: bool) -> str:
    return Packet(data, ethertype, tap=tap).describe()


def _datagram(source: Address, destination: Address, length: int) -> str:
    return f"{shown(source)} > {shown(destination)} UDP {length} bytes"


_size, _SIZES = _library.size, _library.SIZES
_READY = len(_SIZES)
_kind = functools.lru_cache(maxsize=64)(c_uint16.from_param)
_NO_KIND = _kind(0)


class Link:
    """The link settings of an interface as methods. They do what its properties do, which are
    newer."""

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
