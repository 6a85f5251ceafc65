"""Programs under the shim: their environment, their output and their end."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import shlex
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, Optional, Union

from . import _library
from ._errors import Error, NotPermittedError, invalid

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

Argument = Union[str, "os.PathLike[str]"]
Command = Union[Argument, Sequence[Argument]]

# How long in seconds programs have between SIGTERM and SIGKILL.
_GRACE = 2.0

_LINES = 10
_NAME = 160


def environment(
    net: int,
    base: Optional[Mapping[str, str]],
    link: Optional[str],
    devices: Optional[Iterable[Argument]],
) -> dict[str, str]:
    """``base`` (None: this process's environment) with the variables added that put a program
    under the shim and into the net of this pointer."""
    variables = dict(os.environ if base is None else base)
    if isinstance(devices, (str, bytes, os.PathLike)):
        invalid(f"devices {devices!r}: give a list, [{devices!r}]")
    paths = None
    if devices is not None:
        encoded = [_library.c_text(os.fsdecode(device), "device") for device in devices]
        paths = (ctypes.c_char_p * (len(encoded) + 1))(*encoded)
    block = _library.filled(
        "memtun_net_environment",
        *(net, None if link is None else _library.c_text(link, "link"), paths),
        os.fsencode(variables.get("LD_PRELOAD", "")),
    )
    for entry in block.split(b"\0")[:-1]:
        name, _, value = os.fsdecode(entry).partition("=")
        # An empty value takes back what would be inherited.
        if value or name in variables:
            variables[name] = value
    return variables


class BypassWarning(RuntimeWarning):
    """A warning that a program runs past the library, so that what it does with the device is
    not seen."""


BypassWarning.__module__ = "memtun"

# The class had this name before it ended in Warning.
Bypass = BypassWarning


def look_at(args: Any, variables: dict[str, str], keywords: Mapping[str, Any], force: bool) -> None:
    """Refuses a program that would touch the machine itself, warns of one that the library does
    not see, and sets its LD_PRELOAD. A program that cannot be started at all is refused with the
    error that :mod:`subprocess` would raise, and with the sentence of ``memtun run``.

    :raises NotPermittedError: it is set-uid, set-gid or has file capabilities
    :raises OSError: FileNotFoundError, PermissionError and others: it, or an interpreter of it,
        cannot be executed
    """
    program = keywords.get("executable")
    if program is None and keywords.get("shell"):
        program = "/bin/sh"
    elif program is None:
        program = args if isinstance(args, (str, bytes, os.PathLike)) else next(iter(args), "")
    directory = keywords.get("cwd")
    path = variables.get("PATH", os.defpath)
    try:
        described = json.loads(
            _library.text(
                "memtun_program_examine",
                *(os.fsencode(program), os.fsencode(path), None if directory is None else os.fsencode(directory)),
                *(os.fsencode(variables["LD_PRELOAD"]), int(force)),
            )
        )
    except Error as e:
        if e.errno == errno.EPERM:
            raise NotPermittedError(e.errno, f"{e.strerror} with force=True") from None
        if e.errno not in (errno.ENOENT, errno.EACCES, errno.ELOOP, errno.ENOEXEC):
            raise
        # When preexec_fn may change the directory, or the directory does not exist, only
        # subprocess can say what is wrong.
        moves = keywords.get("preexec_fn") is not None
        if program and not moves and (directory is None or os.path.isdir(directory)):
            raise OSError(e.errno, e.strerror) from None
    else:
        variables["LD_PRELOAD"] = described["preload"]
        if described["waits_unseen"] and not variables.get("MEMTUN_BELL"):
            variables["MEMTUN_BELL"] = "exact"
        for sentence in described["warnings"]:
            # The warning names the caller of Net.popen or Net.run.
            warnings.warn(sentence, BypassWarning, stacklevel=3)


def shown(command: Any) -> str:
    """A command as it would be typed."""
    parts = [command] if isinstance(command, (str, bytes, os.PathLike)) else command
    return " ".join(shlex.quote(os.fsdecode(part)) for part in parts)


def named(command: Any) -> str:
    """The command as a part of a sentence."""
    text = " ".join(shown(command).split())
    return text if len(text) <= _NAME else f"{text[:_NAME]}..."


class Program(subprocess.Popen[Any]):
    """A program under the shim, which is a :class:`subprocess.Popen` in every other way."""

    _record: Optional[IO[bytes]] = None

    def __init__(self, args: Command, record: bool = False, **keywords: Any) -> None:
        streams = [name for name in ("stdout", "stderr") if record and keywords.get(name) is None]
        if streams:
            self._record = tempfile.TemporaryFile()  # noqa: SIM115
            keywords.update({name: self._record for name in streams})
        super().__init__(args, **keywords)

    @property
    def output(self) -> Optional[str]:
        """What the program wrote to standard output and standard error so far. It is kept in the
        pytest plugin's nets, unless the output is redirected; else this is None."""
        if self._record is None:
            return None
        # The file offset is shared with the program, so it must stay.
        size = os.fstat(self._record.fileno()).st_size
        return os.pread(self._record.fileno(), size, 0).decode(errors="replace")

    @property
    def state(self) -> str:
        """The state of the program: ``running``, ``exit status 1`` or ``ended by SIGSEGV``, for
        example."""
        status = self.poll()
        if status is None:
            return "running"
        if status >= 0:
            return f"exit status {status}"
        with contextlib.suppress(ValueError):
            return f"ended by {signal.Signals(-status).name}"
        return f"ended by signal {-status}"


    def _last_words(self, before: str) -> str:
        """How the program ended, ``before`` something, and the last lines of its output if that
        is kept."""
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
    """Ends programs that still run, by SIGTERM, and by SIGKILL if they do not react."""
    living = [program for program in programs if program.poll() is None]
    limit = time.monotonic() + _GRACE
    try:
        for program in living:
            program.terminate()
        for program in living:
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(max(0.0, limit - time.monotonic()))
    finally:
        # The programs are killed even if the driver is interrupted while it waits.
        for program in living:
            if program.poll() is None:
                program.kill()
                program.wait()
