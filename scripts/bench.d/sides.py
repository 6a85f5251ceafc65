"""The sides that are compared: how each is built, started and found missing."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
BUILD = TARGET / "bench"
VENV = TARGET / "bench-venv"
TWISTED = "twisted==24.11.0"
MATPLOTLIB = "matplotlib>=3.8"
PROGRAMS = ["packets", "calls", "nothing", "spawn", "many", "sockets", "growth", "floor"]


class Unavailable(Exception):
    """This side cannot be measured here; the message says why."""


class Failed(Exception):
    """A side is there and did not do what was asked of it."""


def note(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(command: list, env: dict = None, timeout: float = 120, cwd: Path = None) -> str:
    """Standard output of a command that succeeds; its own environment is ours with `env` added."""
    command = [str(word) for word in command]
    process = subprocess.Popen(
        command, env={**clean_environment(), **(env or {})}, cwd=cwd, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"{Path(command[-1]).name}: no end after {timeout:.0f} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if "cannot be preloaded" in err:
        raise Unavailable(last_line(err))
    if process.returncode != 0:
        raise Failed(last_line(err) or f"exit status {process.returncode}")
    return out


def clean_environment() -> dict:
    kept = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD" and not k.startswith("MEMTUN_")}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1"}


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def build_programs() -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        cc = os.environ.get("CC", "cc")
        include = ["-I", ROOT / "src/shim"]
        run([cc, "-O2", "-Wall", "-fPIE", "-pie", "-pthread", *include, "-o", BUILD / name, HERE / f"{name}.c"])


def program(name: str) -> Path:
    return BUILD / name


class Memtun:
    """The release library, preloaded into a program without capabilities; every run gets a net of its own."""

    def __init__(self, scratch: Path):
        self.scratch = scratch
        self.nets = 0
        self.prefix = drop_capabilities()
        self.library = self._library()

    @staticmethod
    def _library() -> Path:
        given = os.environ.get("MEMTUN_LIB")
        if given:
            library = Path(given).absolute()
            if not library.exists():
                raise Failed(f"MEMTUN_LIB={given} does not exist")
            return library
        note("building libmemtun.so and memtun")
        run(["cargo", "build", "--release", "-p", "memtun-shim", "-p", "memtun-cli"], timeout=1200, cwd=ROOT)
        # As after an installation: a file that the linker has just written lies in the page cache in smaller pieces, and
        # every program that loads it starts more slowly than one that loads a copy.
        installed = BUILD / "installed"
        installed.mkdir(parents=True, exist_ok=True)
        for name in ["libmemtun.so", "memtun"]:
            (installed / name).unlink(missing_ok=True)
            shutil.copy2(TARGET / "release" / name, installed / name)
        return installed / "libmemtun.so"

    def net(self) -> Path:
        self.nets += 1
        return self.scratch / f"net{self.nets}"

    def command(self, words: list, net: Path = None, preload: bool = True) -> list:
        """Without `net` the process tree gets one of its own."""
        variables = [f"MEMTUN_NET={net}"] if net else []
        if preload:
            variables.append(f"LD_PRELOAD={self.library}")
        return [*self.prefix, "env", *variables, *words]

    def run(self, *words) -> str:
        return run(self.command(words, self.net()))


def drop_capabilities() -> list:
    """A prefix after which a program can do no more than an ordinary user's."""
    prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
    if os.geteuid() != 0:
        return []
    try:
        run([*prefix, "true"])
    except (Failed, OSError) as error:
        note(f"measuring memtun with the capabilities of root: setpriv: {error}")
        return []
    return prefix


class Kernel:
    """The kernel's own driver, in a fresh network namespace for every run."""

    def __init__(self):
        reasons = []
        for prefix in (["unshare", "-Urn"], ["unshare", "-n"]):
            try:
                run([*prefix, program("packets"), "bulk", "64", "0.01"])
                self.prefix = prefix
                return
            except (Failed, OSError) as error:
                reasons.append(f"{' '.join(prefix)}: {error}")
        raise Unavailable("; ".join(reasons))

    def run(self, *words) -> str:
        return run([*self.prefix, *words])


class Hosts:
    """Two hosts, each with a tun, that a wire joins; both sides have the same programs."""

    ADDRESSES = ("10.9.0.1", "10.9.0.2")

    def __init__(self, side):
        """`side` is what a program runs under: a `Memtun` or a `Kernel`."""
        self.started, self.prefixes, self.nets = [], [], []
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            for end, address in zip(ends, self.ADDRESSES):
                words = [program("sockets"), "wire", "tun0", address]
                if isinstance(side, Memtun):
                    net = side.net()
                    self.nets.append(net)
                    self._start(side.command(words, net), end)
                    self.prefixes.append(side.command([], net))
                else:
                    wire = self._start([*side.prefix, *words], end)
                    enter = ["nsenter", "-t", wire.pid, "-n", "--preserve-credentials"]
                    self.prefixes.append([*enter, "-U"] if "-Urn" in side.prefix else enter)
            self._start([*self.prefixes[1], program("sockets"), "server", self.ADDRESSES[1]])
        except BaseException:
            self.end()
            raise
        finally:
            for end in ends:
                end.close()

    def _start(self, words: list, wire: socket.socket = None) -> subprocess.Popen:
        """Starts a program, and returns when it says that it is ready."""
        words = [str(word) for word in words]
        if wire is not None:
            # The program finds the wire at descriptor 3.
            words = ["sh", "-c", f'exec 3<&{wire.fileno()}; exec "$@"', "sh", *words]
        started = subprocess.Popen(
            words, env=clean_environment(), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, pass_fds=[] if wire is None else [wire.fileno()],
        )  # fmt: skip
        self.started.append(started)
        if started.stdout.readline() != "ready\n":
            started.kill()
            raise Failed(last_line(started.stderr.read()) or "a host ended early")
        return started

    def client(self, kind: str, seconds: float) -> float:
        """Nanoseconds of one, from the first host to the second."""
        words = [program("sockets"), "client", kind, self.ADDRESSES[1], seconds]
        return float(run([*self.prefixes[0], *words]))

    def end(self) -> None:
        for started in self.started:
            started.kill()
        for started in self.started:
            started.communicate()


class Plain:
    """The program as it is."""

    def run(self, *words) -> str:
        return run(words)


class Preload:
    """Another library under the programs that count calls."""

    def __init__(self, library: str, env: dict = None):
        self.env = {**(env or {}), "LD_PRELOAD": library}
        self.run(program("calls"), "read", "1")

    def run(self, *words) -> str:
        return run(words, self.env)


def umockdev(scratch: Path) -> Preload:
    return _packaged("libumockdev-preload.so.0", "libumockdev0")


def socket_wrapper(scratch: Path) -> Preload:
    directory = scratch / "socket_wrapper"
    directory.mkdir(mode=0o700)
    return _packaged("libsocket_wrapper.so", "libsocket-wrapper", {"SOCKET_WRAPPER_DIR": str(directory)})


def _packaged(library: str, package: str, env: dict = None) -> Preload:
    try:
        return Preload(library, env)
    except Unavailable:
        raise Unavailable(f"{library} is not installed (Debian package {package})") from None


def bare_redhook(scratch: Path) -> Preload:
    """Built from a copy, so that neither a lock file nor a target directory appears among the sources."""
    copy = BUILD / "bare-redhook"
    copy.mkdir(exist_ok=True)
    for name in ("Cargo.toml", "lib.rs"):
        shutil.copy2(HERE / "bare-redhook" / name, copy / name)
    try:
        run(["cargo", "build", "--release", "--target-dir", copy / "target"], timeout=600, cwd=copy)
    except (Failed, OSError) as error:
        raise Unavailable(f"cargo build: {error}") from None
    return Preload(str(copy / "target/release/libbare_redhook.so"))


class Callgrind:
    """Counts instructions."""

    def __init__(self, scratch: Path):
        self.out = scratch / "callgrind.out"
        if shutil.which("valgrind") is None:
            raise Unavailable("valgrind is not installed")

    def words(self, words: list, only: str = "") -> list:
        """The command that counts. `only` names the function that is counted, instead of all."""
        options = [f"--toggle-collect={only}"] if only else []
        return ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={self.out}", *options, *words]

    def total(self) -> int:
        """Of the run just made."""
        for line in self.out.read_text().splitlines():
            if line.startswith("totals:"):
                return int(line.split()[1])
        raise Failed("callgrind wrote no totals")


def python_with(package: str, module: str) -> Path:
    """An interpreter of our own that has this package."""
    python = VENV / "bin/python"
    if not python.exists():
        note(f"making {VENV}")
        try:
            run([sys.executable, "-m", "venv", VENV])
        except Failed as error:
            raise Unavailable(f"venv: {error}") from None
    try:
        run([python, "-c", f"import {module}"])
    except Failed:
        note(f"installing {package} into {VENV}")
        try:
            run([python, "-m", "pip", "install", "-q", package], timeout=300)
        except Failed as error:
            raise Unavailable(f"pip install {package}: {error}") from None
    return python


def twisted_python() -> Path:
    """The interpreter of both Python sides."""
    return python_with(TWISTED, "twisted.pair.testing")


def scratch_directory() -> Path:
    shm = Path("/dev/shm")
    usable = shm.is_dir() and os.access(shm, os.W_OK)
    return Path(tempfile.mkdtemp(prefix="memtun-bench-", dir=shm if usable else None))
