"""Results as DataFrames for scripts and notebooks, without torch: `ltgen_bench.load_results` and `compare`."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.compare import compare as compare_sides
from ltgen_bench.leaderboard.folder import published
from ltgen_bench.leaderboard.frame import figures
from ltgen_bench.leaderboard.sides import sides
from ltgen_bench.runs.record import read_records

if TYPE_CHECKING:
    import pandas as pd

AnyPath = str | os.PathLike[str]
SOURCES = ("result-*.json", "*/*/*/result-*.json")
"""Where results lie below a run's folder, and below a folder of runs."""


def load_results(folder: AnyPath = "runs") -> pd.DataFrame:
    """Every figure in a folder of runs, a run's folder or a leaderboards folder: a row per result, metric and group.

    Columns besides value, se, n_gen, ...: what identifies the result, settings by the names that `--set` knows. Files
    that cannot be trusted are left out with a warning. Raises UsageError when there is no such folder.
    """
    path = _path(folder)
    if not path.is_dir():
        raise UsageError(f"{path}: no such folder")
    records, problems = published(path)
    for pattern in SOURCES:
        more = read_records(path, pattern)
        records, problems = records + more[0], problems + more[1]
    for problem in problems:
        warnings.warn(f"left out: {problem}", stacklevel=2)
    return figures(records)


def compare(a: AnyPath, b: AnyPath, *, runs: AnyPath = "runs", folder: AnyPath = "leaderboards") -> pd.DataFrame:
    """Two runs, methods or folders of results, seed by seed: a row per table, metric and group.

    a, b: as `ltgen-bench compare` takes them: the start of a run's id, a method ("cm+cbdm"), a row's name, or a folder.
    runs, folder: where runs and published results are looked for. Columns: the values of both at each seed that both
    have (`seeds`, `a`, `b`, lists), the mean `difference` of a and b with its Student-t interval (`low`, `high`), the
    `relative` one, at how many seeds a is `better`, and the `verdict` on a: better, worse, not resolved or not
    ranked. Raises
    UsageError for names that fit nothing, and for results that were not made alike.
    """
    import pandas as pd

    found, problems = sides([os.fspath(a), os.fspath(b)], _path(runs), _path(folder))
    for problem in problems:
        warnings.warn(f"left out: {problem}", stacklevel=2)
    tables = [comparison.as_json() for comparison in compare_sides(*found)]
    return pd.DataFrame(
        {**{name: table[name] for name in ("dataset", "settings", "row_a", "row_b")}, **line}
        for table in tables
        for line in table["figures"]
    )


def _path(path: AnyPath) -> Path:
    return Path(path).expanduser().absolute()
