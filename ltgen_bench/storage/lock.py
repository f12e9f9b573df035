"""One worker per run folder, also on a shared file system: a lock file with host, process and heartbeat.

Needs of the file system only that creating with O_EXCL and renaming are atomic (true on NFS); no flock.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEARTBEAT = 5.0
STALE = 60.0
"""Seconds without a heartbeat after which a lock counts as left behind."""


@dataclass(frozen=True)
class Owner:
    host: str
    pid: int
    token: str
    age: float  # seconds since the last heartbeat
    driver: str = ""  # on whose behalf it works

    @property
    def alive(self) -> bool:
        """Whether the owner still works: its process exists (on this host) and its heart beats."""
        if self.host == socket.gethostname() and not _exists(self.pid):
            return False
        return self.age < STALE

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Held(Exception):
    """Somebody else works on this run."""


def owner(path: Path) -> Owner | None:
    """Who holds the lock, or None when there is none."""
    try:
        content, age = path.read_text(), time.time() - path.stat().st_mtime
        value = json.loads(content)
        return Owner(str(value["host"]), int(value["pid"]), str(value["token"]), age, str(value.get("driver", "")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        # Just created and not yet written, or damaged: alive until it is old.
        with contextlib.suppress(FileNotFoundError):
            return Owner("an unknown host", -1, "", time.time() - path.stat().st_mtime)
        return None


@contextlib.contextmanager
def hold(path: Path, driver: str = "") -> Iterator[None]:
    """Hold the lock while the block runs. Raises Held when a living owner has it; takes over what a dead one left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex
    _take(path, token, driver)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, token, stop), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        if (last := owner(path)) is not None and last.token == token:
            path.unlink(missing_ok=True)


def _take(path: Path, token: str, driver: str) -> None:
    text = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "token": token, "driver": driver})
    while not _create(path, text):
        if (held := owner(path)) is None:
            continue
        if held.alive:
            raise Held(str(held))
        # Of several that find a dead owner's lock, the one that creates the claim to it may put the claim in its place.
        claim = path.with_name(f"{path.name}.{held.token}")
        if _create(claim, text):
            if (now := owner(path)) is not None and now.token == held.token:
                os.replace(claim, path)
                return
            claim.unlink()
        elif (rival := owner(claim)) is not None:
            if rival.alive:
                raise Held(str(rival))
            claim.unlink(missing_ok=True)


def _create(path: Path, text: str) -> bool:
    """Whether the file was made here: false when there was one."""
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644), "w") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _beat(path: Path, token: str, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT):
        # A file system that hiccups must not stop the heart.
        with contextlib.suppress(OSError):
            if (held := owner(path)) is not None and held.token == token:
                os.utime(path)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    with contextlib.suppress(OSError, IndexError):  # on Linux: one that has ended, but that nobody has buried yet
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True
