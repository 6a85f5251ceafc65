"""A net: an isolated in-memory network that programs and drivers join."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Optional, Union

from . import _guard, _leftovers, _library, _programs, _views
from ._capture import Capture
from ._errors import Error, Gone, Timeout, invalid
from ._faults import Fault
from ._handles import Handle
from ._interface import History, Interface
from ._permissions import Permissions
from ._programs import Argument, Command, Program
from ._users import User, user_number
from ._views import InterfaceInfo, Tunnel
from ._waiting import Seconds, in_turns

_KEPT = 100


class Net:
    """An isolated in-memory network: a directory that processes join.

    ``Net()`` makes a fresh one; it ends with the ``with`` block (or :meth:`close`, or this process, also when
    that is killed): programs that run in it are ended and its directory is removed. ``Net(dir)`` joins the
    one in that directory, making it if it is missing; closing it ends the programs that it started, and
    leaves the directory.

    :param owner: the user whose net it is, a name or a number: how root joins another user's
    :raises NotPermitted: the directory belongs to another user, or others may write to it
    """

    def __init__(
        self,
        dir: Optional[Union[str, os.PathLike[str]]] = None,
        owner: Optional[User] = None,
    ) -> None:
        if dir is None and owner is not None:
            invalid(f"owner {owner!r}: a fresh net is your own; name the directory of that user's net")
        self._setup(None if dir is None else os.path.abspath(dir), own=False, owner=owner)

    @classmethod
    def of_this_process(cls) -> Net:
        """The net in which this process opens its own tunnels, when it runs under the shim."""
        self = cls.__new__(cls)
        # The library has read it, too.
        whose = os.environ.get("MEMTUN_NET_OWNER")
        self._setup(None, own=True, owner=int(whose) if whose else None)
        return self

    def _setup(self, dir: Optional[str], own: bool, owner: Optional[User]) -> None:
        temporary = dir is None and not own
        self._owner = None if owner is None else user_number(owner)
        name = None if dir is None else _library.c_text(dir, "dir")
        if temporary:
            pointer = _library.pointer("memtun_net_temporary")
        elif own or self._owner is None:
            pointer = _library.pointer("memtun_net_open", name)
        else:
            pointer = _library.pointer("memtun_net_open_of_user", name, self._owner)
        self._handle = Handle(pointer, "memtun_net_close", "the net")
        with self._handle as net:
            self.path = Path(_library.text("memtun_net_path", net))
            """Its directory: MEMTUN_NET for those who join it by other means."""
        self.permissions = Permissions(self._handle)
        """What programs may do, a live set: ``net.permissions.discard("ioctl")``."""
        self._record_output = False
        self._interfaces: dict[str, Interface] = {}
        self._history: History = deque(maxlen=_KEPT)
        self._life = _Life(self._handle, self.path, temporary)
        self._end = weakref.finalize(self, self._life.end)

    def close(self) -> None:
        """Ends the programs that were started in it and, if it was made for this value, removes it."""
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
        """Environment variables that put a program under the shim and into this net, for those who start it
        by other means than :meth:`popen`. ``base`` is this process's environment unless given."""
        with self._handle:
            variables = _programs.environment(self.path, self._owner, base, link, devices)
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
        """Starts a program under the shim, as :class:`subprocess.Popen` with the same further arguments.

        :param link: ``"down"``: new interfaces are down until somebody sets them up, as on the kernel's
            device
        :param devices: special devices instead of /dev/net/tun
        :param force: also a program that the system starts without the library, on the machine's own devices
        :raises NotPermitted: it is such a program: set-uid, set-gid or with file capabilities
        """
        variables = self.environment(env, link=link, devices=devices)
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
        """Runs a program under the shim to its end, as :func:`subprocess.run` with the same further
        arguments. Else as :meth:`popen`."""
        variables = self.environment(env, link=link, devices=devices)
        _programs.look_at(args, variables, keywords, force)
        return subprocess.run(args, env=variables, **keywords)

    def interface(self, name: str, timeout: Seconds = 5.0) -> Interface:
        """Waits until an interface of this name exists: until a program has made its TUNSETIFF.

        :raises Timeout: there was none in time; the error says what became of the programs
        :raises InvalidValue: no interface can have that name
        """
        known = self._interfaces.get(name)
        if known is not None and not known._handle.closed:
            info = known.info()
            if info.name == name and not info.gone:
                return known
        wanted = _library.c_text(name, "name")

        def attempt(ms: int) -> int:
            try:
                return _library.pointer("memtun_interface", net, wanted, ms)
            except Gone as e:
                raise Timeout(errno.ENODEV, self._absent(str(e.strerror))) from None

        with self._handle as net:
            pointer = in_turns(attempt, timeout)
        handle = Handle(pointer, "memtun_iface_close", f"interface {name}")
        interface = Interface(handle, self._handle, self._history)
        self._interfaces[name] = interface
        return interface

    def _absent(self, sentence: str) -> str:
        states = [f"{_programs.shown(p.args)}: {p.state}" for p in self._life.programs[-3:]]
        return f"{sentence} ({'; '.join(states)})" if states else sentence

    def interfaces(self) -> list[Interface]:
        """The interfaces that there are now, by index."""
        found = []
        for info in self.infos():
            with contextlib.suppress(Timeout):
                found.append(self.interface(info.name, timeout=0))
        return found

    def infos(self) -> list[InterfaceInfo]:
        """All that is known of the interfaces that there are now, by index, at one moment."""
        return [_views.interface(i, self._handle) for i in self._describe()["interfaces"]]

    def tunnels(self) -> list[Tunnel]:
        """Every open tunnel, attached or not, in the order of their opening."""
        return [_views.tunnel(t, self._handle) for t in self._describe()["tunnels"]]

    def _describe(self) -> dict[str, Any]:
        with self._handle as net:
            described: dict[str, Any] = json.loads(_library.text("memtun_describe", net))
        return described

    def fault(self, spec: str) -> Fault:
        """Makes calls of programs fail: ``"write=EINTR@1"``, ``"read=EAGAIN@3-5"``,
        ``"ioctl:TUNSETIFF=EBUSY@1"``, ``"open=ENOENT"``. In a ``with`` statement it is taken back at the
        end."""
        return Fault(self._handle, spec)

    def capture(self, file: Union[str, os.PathLike[str]]) -> Capture:
        """Captures what goes through the net's interfaces into a pcapng file, replacing it, until the end of
        the ``with`` statement or of the net."""
        with self._handle:
            capture = Capture(self.path, file, self._owner)
        self._life.captures.append(capture)
        return capture

    @property
    def faults(self) -> list[str]:
        """The faults that may still strike."""
        return list(self._describe()["faults"])

    @property
    def send_buffer_size(self) -> Optional[int]:
        """Longest write in bytes, ENOBUFS beyond; None for no limit, as in the kernel."""
        size: Optional[int] = self._describe()["send_buffer_size"]
        return size

    @send_buffer_size.setter
    def send_buffer_size(self, size: Optional[int]) -> None:
        value = 0 if size is None else _library.number(size, "send_buffer_size", 1, 0xFFFF_FFFF)
        with self._handle as net:
            _library.call("memtun_set_send_buffer_size", net, value)

    @property
    def rename(self) -> str:
        """What replaces the end of every name that a program asks for, at most 12 bytes, to catch programs
        that ignore the name that TUNSETIFF gives back. Empty for the kernel's naming."""
        return str(self._describe()["rename"])

    @rename.setter
    def rename(self, suffix: str) -> None:
        value = _library.c_text(suffix, "rename")
        with self._handle as net:
            _library.call("memtun_set_rename", net, value)

    def reset(self) -> None:
        """Takes back every fault, grants every permission, lifts the limit of the send buffer and the
        renaming."""
        with self._handle as net:
            _library.call("memtun_reset", net)


class _Life:
    """What has to end with a net."""

    def __init__(self, handle: Handle, path: Path, temporary: bool) -> None:
        self.programs: list[Program] = []
        self.captures: list[Capture] = []
        self._handle = handle
        self._path = path
        self._temporary = temporary
        self._joined = False
        self._pid = os.getpid()

    def others_join(self) -> None:
        """From now on there may be processes in the net."""
        if self._temporary and not self._joined:
            self._joined = True
            _guard.watch(self._path)

    def end(self) -> None:
        """The end; nothing in a forked child, whose parent's it is."""
        if os.getpid() != self._pid:
            return
        _programs.end(self.programs)
        if self._joined:
            _leftovers.kill_in(str(self._path))
        for capture in self.captures:
            with contextlib.suppress(Error):
                capture.stop()
        try:
            if self._temporary:
                self._remove()
        finally:
            if self._joined:
                _guard.forget(self._path)
            self._handle.close()

    def _remove(self) -> None:
        try:
            with self._handle as net:
                _library.call("memtun_net_remove", net)
        except Error as e:
            # A program may have removed it itself. Anything else is worth a word: somebody's files are in it.
            if e.errno != errno.ENOENT:
                raise
