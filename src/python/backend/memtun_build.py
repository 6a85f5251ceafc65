"""Builds the wheel: cargo makes libmemtun.so and the memtun command, zip the rest (PEP 517 and 660, no dependencies).

One wheel serves every CPython 3.9 and later, as nothing in it is linked to Python:

    memtun/                               the package
    memtun-V.data/scripts/memtun          the command, in bin/ after installation
    memtun-V.data/data/lib/memtun/        libmemtun.so, in lib/memtun/, where the command and the package look for it
"""

from __future__ import annotations

import ast
import base64
import hashlib
import os
import platform
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent

Settings = "dict[str, Any] | None"


def project() -> dict[str, dict[str, Any]]:
    """The tables of pyproject.toml whose values are strings or lists of strings, which Python
    writes as TOML does. (tomllib came with Python 3.11.)"""
    tables: dict[str, dict[str, Any]] = {}
    table: dict[str, Any] = {}
    key, text = "", ""
    for line in (HERE / "pyproject.toml").read_text().splitlines():
        heading = re.fullmatch(r"\[([\w.-]+)\]", line)
        if heading:
            table = tables.setdefault(heading[1], {})
            continue
        begun = re.match(r"([\w-]+) = (.*)", line)
        if begun and not text:
            key, text = begun[1], begun[2]
        elif text:
            text += line
        try:
            table[key] = ast.literal_eval(text)
            text = ""
        except (SyntaxError, ValueError):
            if text in ("true", "false"):
                text = ""
    return tables


def version() -> str:
    """The version of the workspace."""
    manifest = ROOT / "Cargo.toml"
    if not (ROOT / "src/shim/Cargo.toml").is_file():
        raise SystemExit(
            f"{ROOT} is not a checkout of memtun; install with pip from a checkout, or from a wheel"
        )
    found = re.search(r'^version = "([^"]+)"', manifest.read_text(), re.MULTILINE)
    assert found, manifest
    return found[1]


def build() -> tuple[Path, Path]:
    """Builds the command and the library and returns their paths."""
    command = ["cargo", "build", "--release", "--locked", "-p", "memtun-shim", "-p", "memtun-cli"]
    try:
        subprocess.run(command, cwd=ROOT, check=True)
    except FileNotFoundError:
        raise SystemExit("cargo is missing; install Rust 1.91 or later from https://rustup.rs") from None
    except subprocess.CalledProcessError as e:
        raise SystemExit(f"{' '.join(command)}: exit status {e.returncode}") from None
    # The target directory may be relative to the directory in which cargo was started.
    made = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release"
    return made / "memtun", made / "libmemtun.so"


def platform_tag(*binaries: Path) -> str:
    """The tag manylinux_2_N: the newest symbol version of glibc that the binaries need says
    which systems can load them."""
    asked = [int(n) for b in binaries for n in re.findall(rb"GLIBC_2\.(\d+)", b.read_bytes())]
    return f"manylinux_2_{max([17, *asked])}_{platform.machine()}"


def metadata(version: str) -> str:
    """The text of METADATA."""
    tables = project()
    about = tables["project"]
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {about['name']}",
        f"Version: {version}",
        f"Summary: {about['description']}",
        f"License-Expression: {about['license']}",
        *(f"License-File: {name}" for name in about["license-files"]),
        f"Keywords: {','.join(about['keywords'])}",
        *(f"Classifier: {c}" for c in about["classifiers"]),
        *(f"Project-URL: {name}, {url}" for name, url in tables["project.urls"].items()),
        f"Requires-Python: {about['requires-python']}",
        "Description-Content-Type: text/markdown",
    ]
    return "\n".join(lines) + "\n\n" + (HERE / about["readme"]).read_text()


def entry_points() -> str:
    """The text of entry_points.txt."""
    points = project()["project.entry-points.pytest11"]
    return "[pytest11]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())


class Wheel:
    """A wheel that is being written."""

    def __init__(self, directory: str, tag: str) -> None:
        self.version = version()
        self.name = f"memtun-{self.version}-{tag}.whl"
        self._tag = tag
        self._zip = zipfile.ZipFile(Path(directory) / self.name, "w", zipfile.ZIP_DEFLATED)
        self._record: list[str] = []

    @property
    def info(self) -> str:
        """Name of the wheel's .dist-info directory."""
        return f"memtun-{self.version}.dist-info"

    @property
    def data(self) -> str:
        """Name of the wheel's .data directory."""
        return f"memtun-{self.version}.data"

    def add(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Adds a file. All files have the same date, so that the same sources make the same
        wheel."""
        entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
        entry.external_attr = (stat.S_IFREG | mode) << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        self._zip.writestr(entry, content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        self._record.append(f"{name},sha256={digest},{len(content)}")

    def finish(self) -> str:
        """Adds the metadata, closes the wheel and returns its file name."""
        self.add(f"{self.info}/METADATA", metadata(self.version).encode())
        self.add(f"{self.info}/entry_points.txt", entry_points().encode())
        for name in project()["project"]["license-files"]:
            self.add(f"{self.info}/licenses/{name}", (HERE / name).read_bytes())
        about = f"Wheel-Version: 1.0\nGenerator: memtun\nRoot-Is-Purelib: false\nTag: {self._tag}\n"
        self.add(f"{self.info}/WHEEL", about.encode())
        record = "\n".join([*self._record, f"{self.info}/RECORD,,"]) + "\n"
        self._zip.writestr(zipfile.ZipInfo(f"{self.info}/RECORD", (2020, 1, 1, 0, 0, 0)), record)
        self._zip.close()
        return self.name


def _with_binaries(directory: str) -> Wheel:
    command, library = build()
    wheel = Wheel(directory, f"py3-none-{platform_tag(command, library)}")
    wheel.add(f"{wheel.data}/scripts/memtun", command.read_bytes(), 0o755)
    wheel.add(f"{wheel.data}/data/lib/memtun/libmemtun.so", library.read_bytes(), 0o755)
    return wheel


def build_wheel(directory: str, settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Builds the wheel and returns its file name (PEP 517)."""
    wheel = _with_binaries(directory)
    source = HERE / "src"
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            wheel.add(str(path.relative_to(source)), path.read_bytes())
    return wheel.finish()


def build_editable(directory: str, settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Builds a wheel that leads to the sources of this checkout, and returns its file name (PEP
    660)."""
    wheel = _with_binaries(directory)
    wheel.add("memtun.pth", f"{HERE / 'src'}\n".encode())
    return wheel.finish()


def build_sdist(directory: str, settings: Settings = None) -> str:
    """Refuses: no source distribution is offered, because the Rust workspace is the source."""
    raise SystemExit("there is no source distribution; build a wheel: pip wheel ./src/python")


if __name__ == "__main__":
    print(build_wheel(sys.argv[1] if len(sys.argv) > 1 else "."))
