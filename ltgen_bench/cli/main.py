"""The entry point."""

from __future__ import annotations

import io
import os
import sys

import typer

from ltgen_bench.cli.app import app
from ltgen_bench.errors import RunFailed, UsageError

# Each adds its commands to the app, which shows them in this order.
# isort: off
from ltgen_bench.cli import run, inspect, prepare, score, publish, leaderboard, compare, check  # noqa: F401
# isort: on


def main() -> None:
    """The entry point: one clear sentence and exit code 2 for anything the user can mend."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # ± and arrows, where the locale has none
    try:
        code = app(prog_name="ltgen-bench", standalone_mode=False)
    except (UsageError, RunFailed) as error:
        sys.exit(_fail(str(error), 2 if isinstance(error, UsageError) else 1))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except BrokenPipeError:
        # Nobody reads on; Python's own flush at exit must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        sys.exit(_fail(str(error), 1))
    except Exception as error:
        # Typer carries its own copy of click; its usage errors know how to say themselves.
        if not hasattr(error, "format_message"):
            raise
        message = error.format_message()  # empty when it was to show the help, which is done
        sys.exit(_fail(message, 2) if message else 2)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code
