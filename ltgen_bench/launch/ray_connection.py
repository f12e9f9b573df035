"""Ray, found where the user says it is, or started on this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from ltgen_bench.errors import UsageError

LONGEST = 107
"""Bytes in the path of a socket, at most."""
SOCKET = "/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""What Ray puts behind its folder."""


def connect(address: str | None, named: str) -> Any:
    """The module `ray`, connected. Arguments and errors as of `Cluster`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray starts its workers at niceness 15, and training would inherit it: anything else here would starve it.
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray  # a second, and not needed for one run

    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    with _own_signals():  # Ray installs a SIGTERM handler of its own
        if address is None:
            # Not None: that would join the Ray of another command here, which ends when that command does.
            ray.init("local", _temp_dir=_short_folder(), include_dashboard=False, **quiet)
            return ray
        _knock(address, named)
        try:
            ray.init(address, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            first = str(error).strip().partition("\n")[0]
            raise UsageError(
                f"{named} {address}: something answers there, but this Ray may not join ({first}); does it want a "
                "token (RAY_AUTH_MODE=token, and its ~/.ray/auth_token here), or is it another version of Ray, or no "
                "Ray at all?"
            ) from None
    return ray


def _short_folder() -> str | None:
    """Where Ray is to keep its sockets, when the folder it would take has too long a path for them."""
    chosen = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    if len(os.fsencode(chosen)) + len(SOCKET) <= LONGEST:
        return None
    if "RAY_TMPDIR" not in os.environ and os.access("/tmp", os.W_OK):
        return f"/tmp/ray-{os.getuid()}"
    raise UsageError(
        f"the path of {chosen} is too long for Ray's sockets: set RAY_TMPDIR to a folder with a path of at most "
        f"{LONGEST - len(SOCKET)} bytes, or use --launcher local"
    )


def _knock(address: str, named: str) -> None:
    """Raises UsageError when nothing listens at HOST:PORT, where Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    way_out = "" if named.startswith("--") else f"; without {named}, Ray is started here"
    if not host or not port.isdigit() or "/" in host:
        raise UsageError(
            f"{named} {address}: write HOST:PORT of the cluster's head, as in 10.0.0.1:6379, or auto{way_out}"
        )
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UsageError(f"{named} {address}: no Ray cluster answers there ({error}){way_out}") from None


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's signal handlers through the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
