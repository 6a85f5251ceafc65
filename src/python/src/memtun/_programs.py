"""Programs under the shim: their environment, their output, their end."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Optional, Union

from . import _library
from ._errors import Error, invalid

# A failed test shows the line of the test that called, and what it was told.
__tracebackhide__ = True

Argument = Union[str, "os.PathLike[str]"]
Command = Union[Argument, Sequence[Argument]]

# How long programs have between SIGTERM and SIGKILL.
_GRACE = 2.0

_LINES = 10
_NAME = 160


def environment(
    net: Path,
    owner: Optional[int],
    base: Optional[Mapping[str, str]],
    link: Optional[str],
    devices: Optional[Iterable[Argument]],
) -> dict[str, str]:
    """Variables that put a program under the shim, added to ``base`` (None: this process's)."""
    library = str(_library.find())
    if any(c in library for c in ": \t\n"):
        raise Error(
            errno.EINVAL,
            f"{library}: LD_PRELOAD takes no path with a space or ':' in it; copy the library elsewhere and set "
            "MEMTUN_LIBRARY",
        )
    variables = dict(os.environ if base is None else base)
    others = variables.get("LD_PRELOAD", "").replace(":", " ").split()
    variables["LD_PRELOAD"] = ":".join([library, *(o for o in others if o != library)])
    variables["MEMTUN_NET"] = str(net)
    if (net / ".memtun-net-private").exists():
        # What a program that outlives the net makes again is private, too.
        variables["MEMTUN_TREE"] = str(net)
    if owner is not None:
        variables["MEMTUN_NET_OWNER"] = str(owner)
    elif "MEMTUN_NET_OWNER" in variables:
        # Said of another net. Empty, not away: a shim around this process would put it back.
        variables["MEMTUN_NET_OWNER"] = ""
    if link is not None:
        if link not in ("up", "down"):
            invalid(f"link {link!r}: give up or down")
        variables["MEMTUN_LINK"] = link
    if devices is not None:
        variables["MEMTUN_DEVICES"] = ":".join(_device(device) for device in devices)
    return variables


def _device(device: Argument) -> str:
    path = os.fspath(device)
    if not path.startswith("/") or ":" in path or "\0" in path or ".." in path.split("/"):
        invalid(f"device {path!r}: give an absolute path without '..' or ':'")
    return path


def shown(command: Any) -> str:
    """A command as it would be typed."""
    parts = [command] if isinstance(command, (str, bytes, os.PathLike)) else command
    return " ".join(shlex.quote(os.fsdecode(part)) for part in parts)


def named(command: Any) -> str:
    """The same as a part of a sentence."""
    text = " ".join(shown(command).split())
    return text if len(text) <= _NAME else f"{text[:_NAME]}..."


class Program(subprocess.Popen[Any]):
    """A program under the shim; :class:`subprocess.Popen` in every other way."""

    _record: Optional[IO[bytes]] = None

    def __init__(self, args: Command, record: bool = False, **keywords: Any) -> None:
        streams = [name for name in ("stdout", "stderr") if record and keywords.get(name) is None]
        if streams:
            self._record = tempfile.TemporaryFile()  # noqa: SIM115
            keywords.update({name: self._record for name in streams})
        super().__init__(args, **keywords)

    @property
    def output(self) -> Optional[str]:
        """What it wrote to standard output and standard error so far, if that is kept: in the pytest plugin's
        nets, unless they are redirected. Else None."""
        if self._record is None:
            return None
        # The offset is the program's as well, so it must stay.
        size = os.fstat(self._record.fileno()).st_size
        return os.pread(self._record.fileno(), size, 0).decode(errors="replace")

    @property
    def state(self) -> str:
        """``running``, ``exit status 1`` or ``ended by SIGSEGV``."""
        status = self.poll()
        if status is None:
            return "running"
        if status >= 0:
            return f"exit status {status}"
        with contextlib.suppress(ValueError):
            return f"ended by {signal.Signals(-status).name}"
        return f"ended by signal {-status}"


    def _last_words(self, before: str) -> str:
        """How it ended before something, and the last lines of its output if that is kept."""
        status = self.poll()
        if status is None:
            how = "is running"
        elif status >= 0:
            how = f"ended with status {status}"
        else:
            how = f"was {self.state}"
        lines = (self.output or "").splitlines()[-_LINES:]
        return "\n".join([f"{named(self.args)} {how}{before}", *(f"    {line}" for line in lines)])


def end(programs: Iterable[Program]) -> None:
    """Ends programs that still run: SIGTERM, and SIGKILL for those that take no notice."""
    living = [program for program in programs if program.poll() is None]
    limit = time.monotonic() + _GRACE
    try:
        for program in living:
            program.terminate()
        for program in living:
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(max(0.0, limit - time.monotonic()))
    finally:
        # Also when somebody is tired of waiting.
        for program in living:
            if program.poll() is None:
                program.kill()
                program.wait()
