"""Writes packets into a pcapng file while they come, with ``memtun capture`` in the background."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Optional, Union

from . import _library
from ._errors import Error, ErrorKind, error

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

# How long in seconds the command may take to begin, and to write what is left at the end.
_PATIENCE = 10.0


def _commands(library: Path) -> Iterator[Path]:
    """Where the command may be: beside the library, or in bin/ when the library is in
    lib/memtun/."""
    yield library.parent / "memtun"
    for parent in list(library.parents)[:3]:
        yield parent / "bin" / "memtun"
    found = shutil.which("memtun")
    if found:
        yield Path(found)


def command() -> Path:
    """Path of the memtun command of the same installation as the library."""
    library = _library.find()
    path = next((path for path in _commands(library) if os.access(path, os.X_OK) and path.is_file()), None)
    if path is None:
        raise error(
            errno.ENOENT,
            ErrorKind.NOT_FOUND,
            f"no memtun command beside {library} or in PATH; build it with cargo build --release -p memtun-cli",
        )
    return path


class Capture:
    """A running capture. It begins with the packets that are still kept. At the end of its
    ``with`` block, or of :meth:`stop`, everything that was written before is in the file."""

    def __init__(self, net: Path, file: Union[str, os.PathLike[str]], owner: Optional[int] = None) -> None:
        self.path = Path(file).absolute()
        """Path of the file."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        # The command line says whose net it is, so what the environment says of another net is
        # taken out.
        variables = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "MEMTUN_NET_OWNER")}
        whose = [] if owner is None else ["--owner", str(owner)]
        self._process = subprocess.Popen(
            [str(command()), "capture", "--net", str(net), *whose, "--write", str(self.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=variables,
            # A Ctrl-C reaches only the driver, which stops the capture in order.
            start_new_session=True,
        )
        self._stopped = False
        limit = time.monotonic() + _PATIENCE
        try:
            while not self.path.exists() and self._process.poll() is None and time.monotonic() < limit:
                time.sleep(0.002)
        except BaseException:
            self._kill()
            raise
        if not self.path.exists():
            self.stop()
            raise Error(errno.EIO, f"{self.path}: memtun capture did not begin")

    def _kill(self) -> None:
        """Kills the command when the driver is interrupted while it waits for it."""
        self._stopped = True
        self._process.kill()
        self._process.communicate()

    def stop(self) -> Path:
        """Ends the capture. Returns the path of the file, which is then complete."""
        if self._stopped:
            return self.path
        self._stopped = True
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            _, said = self._process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, said = self._process.communicate()
        except BaseException:
            self._kill()
            raise
        if self._process.returncode != 0:
            raise Error(
                errno.EIO, said.decode(errors="replace").strip() or f"{self.path}: memtun capture failed"
            )
        return self.path

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
