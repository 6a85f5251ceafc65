"""A net: an isolated in-memory network that programs and drivers join."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import subprocess
import time
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Optional, Union

from . import _guard, _leftovers, _library, _programs, _sockets, _views
from ._capture import Capture
from ._errors import EndedError, Error, GoneError, TimeoutError, invalid
from ._faults import Fault
from ._handles import Handle
from ._host import Neighbours, Routes, Words
from ._interface import History, Interface
from ._permissions import Permissions
from ._programs import Argument, Command, Program
from ._sockets import Socket
from ._users import User, user_number
from ._views import InterfaceInfo, Tunnel
from ._waiting import DEFAULT_TIMEOUT, Seconds, checked, in_turns

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

_KEPT = 100
# Time in seconds that a program may take to end when its interface is gone.
_LAST = 0.1
# Number of programs of which an error tells how they ended.
_TOLD = 3


class Net:
    """An isolated in-memory network: a directory that processes join.

    ``Net()`` makes a fresh one; it ends with the ``with`` block (or :meth:`close`, or this process, also when
    that is killed): programs that run in it are ended and its directory is removed. ``Net(dir)`` joins the
    one in that directory, making it if it is missing; closing it ends the programs that it started, and
    leaves the directory.

    :param owner: the user whose net it is, a name or a number: how root joins another user's
    :raises NotPermittedError: the directory belongs to another user, or others may write to it
    """

    def __init__(
        self,
        dir: Optional[Union[str, os.PathLike[str]]] = None,
        *,
        owner: Optional[User] = None,
    ) -> None:
        if dir is None and owner is not None:
            invalid(f"owner {owner!r}: a fresh net is your own; name the directory of that user's net")
        self._setup(None if dir is None else os.path.abspath(dir), own=False, owner=owner)

    @classmethod
    def of_this_process(cls) -> Net:
        """The net in which this process opens its own tunnels when it runs under the shim."""
        self = cls.__new__(cls)
        # The library has read this variable, too.
        whose = os.environ.get("MEMTUN_NET_OWNER")
        self._setup(None, own=True, owner=int(whose) if whose else None)
        return self

    def _setup(self, dir: Optional[str], own: bool, owner: Optional[User]) -> None:
        temporary = dir is None and not own
        self._owner = None if owner is None else user_number(owner)
        name = None if dir is None else _library.c_text(dir, "dir")
        if temporary:
            pointer = _library.pointer("memtun_net_open_temporary")
        elif own or self._owner is None:
            pointer = _library.pointer("memtun_net_open", name)
        else:
            pointer = _library.pointer("memtun_net_open_of_user", name, self._owner)
        self._handle = Handle(pointer, "memtun_net_close", "the net")
        with self._handle as net:
            self.path = Path(_library.text("memtun_net_path", net))
            """Directory of the net: the value of MEMTUN_NET for programs that join it by other
            means."""
        self.permissions = Permissions(self._handle)
        """What programs may do, as a live set: ``net.permissions.discard("ioctl")``."""
        self._routes = Routes(self._handle)
        self._neighbours = Neighbours(self._handle)
        self._record_output = False
        self._interfaces: dict[str, Interface] = {}
        self._history: History = deque(maxlen=_KEPT)
        # This process may open the device itself, whatever the programs do that it has started.
        self._life = _Life(self._handle, self.path, temporary, strangers=own)
        self._end = weakref.finalize(self, self._life.end)

    def close(self) -> None:
        """Ends the programs that were started in the net and, if the net was made for this
        value, removes it."""
        for interface in self._interfaces.values():
            interface.close()
        self._interfaces.clear()
        self._end()

    def __enter__(self) -> Net:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<memtun.Net {self.path}{' closed' if self._handle.closed else ''}>"

    def environment(
        self,
        base: Optional[Mapping[str, str]] = None,
        *,
        link: Optional[str] = None,
        devices: Optional[Iterable[Argument]] = None,
    ) -> dict[str, str]:
        """Environment variables that put a program under the shim and into this net, for callers
        who start it by other means than :meth:`popen`. ``base`` is this process's environment
        unless another one is given."""
        # The caller's program may join at any time, from anywhere.
        self._life.strangers = True
        return self._variables(base, link, devices)

    def _variables(
        self, base: Optional[Mapping[str, str]], link: Optional[str], devices: Optional[Iterable[Argument]]
    ) -> dict[str, str]:
        with self._handle as net:
            variables = _programs.environment(net, base, link, devices)
            self._life.others_join()
        return variables

    def popen(
        self,
        args: Command,
        *,
        link: Optional[str] = None,
        devices: Optional[Iterable[Argument]] = None,
        env: Optional[Mapping[str, str]] = None,
        force: bool = False,
        **keywords: Any,
    ) -> Program:
        """Starts a program under the shim. It takes the same further arguments as
        :class:`subprocess.Popen`.

        :param link: ``"down"``: new interfaces are down until somebody sets them up, as on the
            kernel's device
        :param devices: special devices in place of /dev/net/tun
        :param force: start even a program that the system starts without the library, on the
            machine's own devices
        :raises NotPermittedError: it is such a program: set-uid, set-gid or with file
            capabilities
        :raises OSError: it cannot be executed, as for :class:`subprocess.Popen`; the sentence
            says why
        """
        variables = self._variables(env, link, devices)
        _programs.look_at(args, variables, keywords, force)
        program = Program(args, record=self._record_output, env=variables, **keywords)
        self._life.programs.append(program)
        return program

    def run(
        self,
        args: Command,
        *,
        link: Optional[str] = None,
        devices: Optional[Iterable[Argument]] = None,
        env: Optional[Mapping[str, str]] = None,
        force: bool = False,
        **keywords: Any,
    ) -> subprocess.CompletedProcess[Any]:
        """Runs a program under the shim to its end. It takes the same further arguments as
        :func:`subprocess.run`. In everything else this is as :meth:`popen`."""
        variables = self._variables(env, link, devices)
        _programs.look_at(args, variables, keywords, force)
        return subprocess.run(args, env=variables, **keywords)

    def interface(self, name: str, *, timeout: Seconds = DEFAULT_TIMEOUT) -> Interface:
        """Waits until an interface of this name exists: until a program has made its TUNSETIFF.

        :raises TimeoutError: there was none in time; the error says what became of the programs
        :raises EndedError: every program that :meth:`popen` has started, and whatever they have left behind, has ended
        :raises InvalidValueError: no interface can have that name
        """
        timeout = checked(timeout)
        known = self._interfaces.get(name)
        if known is not None and not known._handle.closed:
            info = known.info()
            if info.name == name and not info.gone:
                return known
        wanted = _library.c_text(name, "name")

        def attempt(ms: int) -> int:
            return _library.pointer("memtun_interface_open", net, wanted, ms)

        def hopeless(e: Error) -> Optional[Error]:
            if _library.call("memtun_net_had_interface", net, wanted):
                return self._life.hopeless(e, f"interface {name} was made and is gone")
            return self._life.hopeless(e, f"no interface {name}", " before TUNSETIFF")

        with self._handle as net:
            try:
                pointer = in_turns(attempt, timeout, hopeless=hopeless)
            except EndedError:
                raise
            except TimeoutError as e:
                raise TimeoutError(errno.ENODEV, self._absent(str(e.strerror))) from None
        handle = Handle(pointer, "memtun_interface_close", f"interface {name}")
        interface = Interface(handle, self._handle, self._history, self._life.hopeless)
        self._interfaces[name] = interface
        return interface

    def _absent(self, sentence: str) -> str:
        states = [f"{_programs.named(p.args)}: {p.state}" for p in self._life.programs[-_TOLD:]]
        with contextlib.suppress(Error):
            states += [f"there is {info.name}" for info in self.infos()[:_TOLD]]
        return f"{sentence} ({'; '.join(states)})" if states else sentence

    def interfaces(self) -> list[Interface]:
        """The interfaces that exist now, ordered by index."""
        found = []
        for info in self.infos():
            with contextlib.suppress(TimeoutError):
                found.append(self.interface(info.name, timeout=0))
        return found

    def infos(self) -> list[InterfaceInfo]:
        """Snapshots of the interfaces that exist now, ordered by index, taken at one moment."""
        return [_views.interface(i, self._handle) for i in self._describe()["interfaces"]]

    def tunnels(self) -> list[Tunnel]:
        """Every open tunnel, attached or not, in the order in which they were opened."""
        return [_views.tunnel(t, self._handle) for t in self._describe()["tunnels"]]

    def _describe(self) -> dict[str, Any]:
        with self._handle as net:
            described: dict[str, Any] = json.loads(_library.text("memtun_net_describe", net))
        return described

    def fault(self, spec: str) -> Fault:
        """Makes calls of programs fail, as ``"write=EINTR@1"``, ``"read=EAGAIN@3-5"``,
        ``"ioctl:TUNSETIFF=EBUSY@1"`` or ``"open=ENOENT"``. In a ``with`` statement the fault is
        taken back at the end."""
        return Fault(self._handle, spec)

    def capture(self, file: Union[str, os.PathLike[str]]) -> Capture:
        """Captures the packets of the net's interfaces into a pcapng file, which is replaced,
        until the end of the ``with`` statement or of the net."""
        with self._handle:
            capture = Capture(self.path, file, self._owner)
        self._life.captures.append(capture)
        return capture

    @property
    def routes(self) -> Routes:
        """The net's routes, as a live set: ``net.routes.add("10.20.0.0/16 via 10.0.0.2")``.
        Setting it adds those that are missing and removes the others."""
        return self._routes

    @routes.setter
    def routes(self, routes: Iterable[Words]) -> None:
        self._routes.become(routes)

    @property
    def neighbours(self) -> Neighbours:
        """The net's neighbours, as a live set. Setting it adds those that are missing and removes
        the others."""
        return self._neighbours

    @neighbours.setter
    def neighbours(self, neighbours: Iterable[Words]) -> None:
        self._neighbours.become(neighbours)

    def create_connection(
        self,
        address: tuple[str, int],
        *,
        timeout: Seconds = DEFAULT_TIMEOUT,
        source_address: Optional[tuple[str, int]] = None,
    ) -> Socket:
        """Connects with a listener that the net reaches, through one of its interfaces or in one
        of its programs, as :func:`socket.create_connection` does. The timeout is the socket's
        from then on.

        :raises TimeoutError: nobody answers in time
        :raises ConnectionRefusedError: nobody listens there
        :raises OSError: no route of the net leads there (ENETUNREACH), and others of connect(2)
        """
        return _sockets.create_connection(self._handle, address, timeout, source_address)

    def create_server(
        self,
        address: tuple[str, int],
        *,
        family: int = socket.AF_INET,
        backlog: Optional[int] = None,
        reuse_port: bool = False,
        dualstack_ipv6: bool = False,
    ) -> Socket:
        """Listens at an address of the net's, or at all of them (``""``), as
        :func:`socket.create_server` does. Port 0 stands for any that is free in the net.

        :raises OSError: EADDRINUSE: a socket of the net has the name; EADDRNOTAVAIL: no interface
            of the net has the address
        """
        return _sockets.create_server(self._handle, address, family, backlog, reuse_port, dualstack_ipv6)

    def socket(
        self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0
    ) -> Socket:
        """A socket of the machine's whose names are the net's, to bind, to connect, or to send
        and receive datagrams with. It waits for ever until its ``settimeout`` says otherwise."""
        return Socket(self._handle, family, type, proto)

    @property
    def faults(self) -> list[str]:
        """The faults that may still strike."""
        return list(self._describe()["faults"])

    @property
    def send_buffer_size(self) -> Optional[int]:
        """Longest write in bytes; a longer one fails with ENOBUFS. None means no limit, as in
        the kernel."""
        size: Optional[int] = self._describe()["send_buffer_size"]
        return size

    @send_buffer_size.setter
    def send_buffer_size(self, size: Optional[int]) -> None:
        value = 0 if size is None else _library.number(size, "send_buffer_size", 1, 0xFFFF_FFFF)
        with self._handle as net:
            _library.call("memtun_net_set_send_buffer_size", net, value)

    @property
    def exact_bell(self) -> bool:
        """Is a tunnel's descriptor readable for the machine's kernel only while a packet is queued?
        Otherwise it may stay so after the last packet was read, until the program waits by a call of
        libc's; only a program that waits by raw system calls or io_uring can see that."""
        exact: bool = self._describe()["exact_bell"]
        return exact

    @exact_bell.setter
    def exact_bell(self, exact: bool) -> None:
        with self._handle as net:
            _library.call("memtun_net_set_exact_bell", net, int(exact))

    @property
    def name_suffix(self) -> str:
        """The suffix, of at most 12 bytes, that replaces the end of every name that a program
        asks for. It catches programs that ignore the name that TUNSETIFF gives back. An empty
        one means the kernel's naming."""
        return str(self._describe()["name_suffix"])

    @name_suffix.setter
    def name_suffix(self, suffix: str) -> None:
        value = _library.c_text(suffix, "name_suffix")
        with self._handle as net:
            _library.call("memtun_net_set_name_suffix", net, value)

    # The property had this name before.
    rename = name_suffix

    def reset(self) -> None:
        """Takes back every fault, grants every permission, and removes the limit of the send
        buffer and the suffix of names."""
        with self._handle as net:
            _library.call("memtun_net_reset", net)


class _Life:
    """Everything that has to end with a net."""

    def __init__(self, handle: Handle, path: Path, temporary: bool, strangers: bool) -> None:
        self.strangers = strangers
        """May other programs join than those that this process has started?"""
        self.programs: list[Program] = []
        self.captures: list[Capture] = []
        self._handle = handle
        self._path = path
        self._temporary = temporary
        self._joined = False
        self._pid = os.getpid()

    def others_join(self) -> None:
        """Says that from now on there may be processes in the net."""
        if self._temporary and not self._joined:
            self._joined = True
            _guard.watch(self._path)

    def end(self) -> None:
        """Ends everything. In a forked child it does nothing, because the net is its parent's."""
        if os.getpid() != self._pid:
            return
        # Everything is ended, in reverse order, even if the driver is interrupted while it waits
        # for a part.
        with contextlib.ExitStack() as stack:
            stack.callback(self._handle.close)
            if self._joined:
                stack.callback(_guard.forget, self._path)
            if self._temporary:
                stack.callback(self._remove)
            for capture in self.captures:
                stack.callback(_stop, capture)
            if self._joined:
                stack.callback(_leftovers.kill_in, str(self._path))
            stack.callback(_programs.end, self.programs)

    def hopeless(self, e: Error, what: Optional[str] = None, before: str = "") -> Optional[Error]:
        """The error that tells how the programs ended, when they have and nothing that they have
        left behind still runs; else None."""
        if not self.programs or not self._ended(_LAST if isinstance(e, GoneError) else 0.0):
            return None
        if isinstance(e, TimeoutError) and (self.strangers or any(_leftovers.pids_in(str(self._path)))):
            return None
        words = "\n".join(program._last_words(before) for program in self.programs[-_TOLD:])
        kind = EndedError if isinstance(e, TimeoutError) else GoneError
        return kind(e.errno or errno.ENODEV, f"{what or e.strerror}: {words}")

    def _ended(self, patience: float) -> bool:
        """Have all programs ended? Their interfaces end a moment before their statuses are
        known."""
        limit = time.monotonic() + patience
        while any(program.poll() is None for program in self.programs):
            if time.monotonic() >= limit:
                return False
            time.sleep(0.002)
        return True

    def _remove(self) -> None:
        try:
            with self._handle as net:
                _library.call("memtun_net_remove", net)
        except Error as e:
            # A program may have removed the net itself. Any other error is raised, because
            # somebody's files are in the net.
            if e.errno != errno.ENOENT:
                raise


def _stop(capture: Capture) -> None:
    with contextlib.suppress(Error):
        capture.stop()
