"""One worker per run folder, also on a shared file system: a lock file with host, process and heartbeat.

Needs of the file system only that creating with O_EXCL and renaming are atomic (true on NFS); no flock. An owner that
was suspended may have lost its lock to another when it wakes up: `check`, asked before every write, stops it.
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

from ltgen_bench.errors import UsageError

HEARTBEAT = 5.0
STALE = 60.0
"""Seconds without a heartbeat after which a lock counts as left behind."""


_DAMAGED = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""What reading a damaged lock raises."""


@dataclass(frozen=True)
class Owner:
    path: Path  # of the lock
    host: str
    pid: int
    token: str
    age: float  # seconds since the last heartbeat, by the clock of the file system
    driver: str = ""  # on whose behalf it works
    processes: str | None = None  # where its pid means something; None in locks of earlier versions

    @property
    def alive(self) -> bool:
        """Whether the owner still works: its process exists, where that can be known, and its heartbeat is recent.

        A heartbeat from the future is as old as one from the past: a clock was set back since.
        """
        here = self.host == socket.gethostname() if self.processes is None else self.processes == _processes()
        if here and not _exists(self.pid):
            return False
        return abs(self.age) < STALE

    def __str__(self) -> str:
        who = f"process {self.pid} on {self.host}" if self.token else "an unknown process"
        return f"{who}, which holds {self.path}"


class Held(Exception):
    """Somebody else works on this run."""


class Lost(Exception):
    """Somebody else has taken over what this process had locked: it must write no more."""


@dataclass(frozen=True)
class Lock:
    """A lock that this process holds, or held."""

    path: Path
    token: str

    def check(self) -> None:
        """Raises Lost when it is no longer held. A file system that hiccups takes no lock away."""
        try:
            if json.loads(self.path.read_bytes())["token"] == self.token:
                return
        except FileNotFoundError:
            raise Lost(f"the lock {self.path} is gone") from None
        except OSError:
            return
        except _DAMAGED:
            pass
        raise Lost(f"taken over by {owner(self.path)}, as nothing was heard of this one for {STALE:.0f} s")


_held: set[Lock] = set()
"""By this process."""


def check(path: Path) -> None:
    """Before a file is written: raises Lost when this process had locked the folder it lies in, and no longer has."""
    folders = path.absolute().parents
    for held in tuple(_held):
        if held.path.parent in folders:
            held.check()


def owner(path: Path) -> Owner | None:
    """Who holds the lock, or None when there is none."""
    try:
        content, age = path.read_text(), _age(path)
        value = json.loads(content)
        host, pid, token = str(value["host"]), int(value["pid"]), str(value["token"])
        if not (token.isalnum() and len(token) < 100):  # it becomes part of a file's name
            raise ValueError(token)
        return Owner(path, host, pid, token, age, str(value.get("driver", "")), value.get("processes"))
    except FileNotFoundError:
        return None
    except (OSError, *_DAMAGED):
        # Just created and not yet written, or damaged: alive until it is old.
        with contextlib.suppress(FileNotFoundError):
            return Owner(path, "", -1, "", _age(path))
        return None


@contextlib.contextmanager
def hold(path: Path, driver: str = "") -> Iterator[Lock]:
    """Hold the lock while the block runs. Raises Held when a living owner has it; takes over what a dead one left.

    Raises UsageError when its name is taken by a folder.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = Lock(path, uuid.uuid4().hex)
    _take(path, lock.token, driver)
    stop = threading.Event()
    heartbeat = threading.Thread(target=_beat, args=(lock, stop), daemon=True)
    heartbeat.start()
    try:
        with share(lock):
            yield lock
    finally:
        stop.set()
        heartbeat.join()
        with contextlib.suppress(Lost, OSError):
            lock.check()
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def share(lock: Lock) -> Iterator[None]:
    """Let this process write, too, what another one that works with it has locked, while the block runs."""
    _held.add(lock)
    try:
        yield
    finally:
        _held.discard(lock)


def _take(path: Path, token: str, driver: str) -> None:
    mine = {"host": socket.gethostname(), "pid": os.getpid(), "token": token, "driver": driver}
    text = json.dumps(mine | {"processes": _processes()})
    while not _create(path, text):
        if (held := owner(path)) is None:
            continue
        if held.alive:
            raise Held(str(held))
        if path.is_dir():
            raise UsageError(f"{path} is a folder where a lock belongs; delete it")
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


def _beat(lock: Lock, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT):
        # A file system that hiccups must not end the heartbeat; a lock that is lost does.
        with contextlib.suppress(OSError):
            try:
                lock.check()
            except Lost:
                return
            os.utime(lock.path)


def _age(path: Path) -> float:
    """Seconds since a file was changed. Machines' clocks differ, so a new file beside it says what time it is there."""
    changed = path.stat().st_mtime
    probe = path.with_name(f".{uuid.uuid4().hex[:8]}.part")
    try:
        probe.touch(exist_ok=False)
        now = probe.stat().st_mtime
        probe.unlink()
    except OSError:  # one may only read here, or the disk is full
        now = time.time()
    return now - changed


def _processes() -> str:
    """What a process id is unique in: this machine since it was started, and this container (PID namespace) on it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux
        return socket.gethostname()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    with contextlib.suppress(OSError, IndexError):  # on Linux: a zombie has ended
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True
