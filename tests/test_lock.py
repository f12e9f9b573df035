"""Locks: one owner at a time, whatever becomes of processes, machines and clocks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ltgen_bench.errors import UsageError
from ltgen_bench.storage import lock
from ltgen_bench.storage.atomic_files import atomic_write, write_json


def write_lock(path: Path, *, pid: int, host: str = "", age: float = 0.0, **fields: str) -> None:
    """As earlier versions wrote it, and with further fields."""
    path.write_text(json.dumps({"host": host or socket.gethostname(), "pid": pid, "token": "theirs"} | fields))
    os.utime(path, (time.time() - age,) * 2)


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_zombie_process_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still listed
    write_lock(path, pid=zombie.pid)
    with lock.hold(path):
        owner = lock.owner(path)
        assert owner is not None
        assert owner.pid == os.getpid()
    zombie.wait()


def test_a_held_lock_refuses_a_second_holder_and_is_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock.hold(path):
        with pytest.raises(lock.Held, match=f"process {os.getpid()} on {socket.gethostname()}"), lock.hold(path):
            pass
        assert path.exists()
    assert not path.exists()
    with pytest.raises(KeyError), lock.hold(path):
        raise KeyError
    assert not path.exists()


@pytest.mark.parametrize(
    ("theirs", "taken"),
    [
        ({"pid": os.getppid()}, False),
        ({"pid": 1, "host": "another-machine"}, False),
        ({"pid": 0}, False),  # dead: set in the test
        ({"pid": os.getppid(), "age": lock.STALE + 1}, True),
        ({"pid": 1, "host": "another-machine", "age": lock.STALE + 1}, True),
    ],
)
def test_only_the_lock_of_a_dead_owner_is_taken_over(tmp_path: Path, theirs: dict[str, Any], taken: bool) -> None:
    path = tmp_path / "lock"
    if theirs["pid"] == 0:
        theirs, taken = {"pid": dead_pid()}, True
    write_lock(path, **theirs)
    if taken:
        with lock.hold(path):
            assert json.loads(path.read_text())["pid"] == os.getpid()
        assert list(tmp_path.iterdir()) == []
    else:
        with pytest.raises(lock.Held), lock.hold(path):
            pass
        assert json.loads(path.read_text())["token"] == "theirs"


_INFINITE = '{"host": "a", "pid": Infinity, "token": "t"}'
_ELSEWHERE = '{"host": "a", "pid": 1, "token": "../t"}'


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": 5}', "[" * 100_000, _INFINITE, _ELSEWHERE])
def test_a_damaged_lock_counts_until_it_is_old(tmp_path: Path, content: str) -> None:
    path = tmp_path / "lock"
    path.write_text(content)
    with pytest.raises(lock.Held, match="an unknown process, which holds"), lock.hold(path):
        pass
    os.utime(path, (time.time() - lock.STALE - 1,) * 2)
    with lock.hold(path):
        pass


def test_a_folder_where_a_lock_belongs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.mkdir()
    with pytest.raises(lock.Held), lock.hold(path):
        pass
    os.utime(path, (time.time() - lock.STALE - 1,) * 2)
    with pytest.raises(UsageError, match=f"{path} is a folder where a lock belongs; delete it"), lock.hold(path):
        pass


def test_the_heartbeat_goes_on_while_the_lock_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, beaten = tmp_path / "lock", threading.Event()
    monkeypatch.setattr(lock, "HEARTBEAT", 0.001)
    monkeypatch.setattr("ltgen_bench.storage.lock.os.utime", lambda path: beaten.set())
    with lock.hold(path):
        assert beaten.wait(60)


def test_of_many_that_see_a_stale_lock_one_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    write_lock(path, pid=dead_pid())
    start, everyone_tried = threading.Barrier(8), threading.Barrier(8)
    holders = []

    def contend() -> None:
        start.wait(60)
        try:
            with lock.hold(path):
                holders.append(1)
                everyone_tried.wait(60)
        except lock.Held:
            everyone_tried.wait(60)

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert holders == [1]
    assert list(tmp_path.iterdir()) == []


def test_a_pid_counts_only_where_it_means_a_process(tmp_path: Path) -> None:
    """Another container, or another start of a machine of the same name, has other processes of the same numbers."""
    path = tmp_path / "lock"
    with lock.hold(path):
        here = json.loads(path.read_text())["processes"]
    write_lock(path, pid=dead_pid(), processes="another container")
    with pytest.raises(lock.Held), lock.hold(path):
        pass
    write_lock(path, pid=dead_pid(), processes="another container", age=lock.STALE + 1)
    with lock.hold(path):
        pass
    write_lock(path, pid=dead_pid(), processes=here)
    with lock.hold(path):
        pass


@pytest.mark.parametrize("clock", [-3600, 3600])
def test_clocks_that_differ_between_machines_take_no_lock_away(
    tmp_path: Path, clock: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    write_lock(path, pid=1, host="another-machine")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + clock)
    with pytest.raises(lock.Held), lock.hold(path):
        pass


def test_a_heartbeat_from_the_future_is_not_alive_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    write_lock(path, pid=1, host="another-machine", age=-3600)
    with lock.hold(path):
        pass


def test_one_who_may_only_read_sees_the_owner_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    write_lock(path, pid=os.getppid())

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "touch", refuse)
    owner = lock.owner(path)
    assert owner is not None
    assert owner.alive


def test_an_owner_that_lost_its_lock_writes_no_more(tmp_path: Path) -> None:
    """As one that was suspended, while another took over what seemed left behind."""
    file, elsewhere = tmp_path / "run" / "part" / "file.json", tmp_path / "file.json"
    path = tmp_path / "run" / "lock"
    with lock.hold(path) as mine:
        write_json(file, 1)
        path.unlink()
        with pytest.raises(lock.Lost, match=f"the lock {path} is gone"):
            mine.check()
        write_lock(path, pid=os.getppid())
        with pytest.raises(lock.Lost, match=f"taken over by process {os.getppid()} on .*{path}"):
            write_json(file, 2)
        with pytest.raises(lock.Lost), atomic_write(file) as opened:
            opened.write(b"2")
        write_json(elsewhere, 2)  # what was not locked is no matter of the lock
    assert json.loads(file.read_text()) == 1
    assert list(file.parent.iterdir()) == [file]
    assert json.loads(path.read_text())["token"] == "theirs"  # and it leaves the other's lock alone


def test_a_process_that_works_with_the_owner_stops_with_it(tmp_path: Path) -> None:
    file, path = tmp_path / "file.json", tmp_path / "lock"
    write_lock(path, pid=os.getppid())
    with lock.share(lock.Lock(path, "theirs")):
        write_json(file, 1)
        write_lock(path, pid=os.getppid(), token="another's")
        with pytest.raises(lock.Lost):
            write_json(file, 2)


def test_a_file_system_that_hiccups_takes_no_lock_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    with lock.hold(path) as mine:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda path: (_ for _ in ()).throw(OSError("stale file handle")))
            mine.check()
        assert path.exists()
    assert not path.exists()
