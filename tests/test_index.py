"""The index of a leaderboards folder: made where there is none, between its marks where there are, else left alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drawn_records import publish_all

from ltgen_bench.leaderboard.pages.index import BEGIN, END
from ltgen_bench.runs.record import Record

MakeRecord = Callable[..., Record]
Cli = Callable[..., Any]


def boards_of(make_record: MakeRecord, cli: Cli, folder: Path) -> Path:
    records = [make_record("ddpm", 12.0 + seed, seed=seed) for seed in range(3)]
    records += [make_record("cm", 8.0 + seed, seed=seed) for seed in range(3)]
    records += [make_record("cb", 13.5, seed=0), make_record("cm", 9.0, data={"name": "other"}, protocol=1)]
    return publish_all(records, folder, cli)


def test_one_row_of_one_seed_is_said_so(make_record: MakeRecord, cli: Cli, tmp_path: Path) -> None:
    boards = publish_all([make_record("ddpm", 12.0)], tmp_path, cli)
    cli("leaderboard", "--folder", boards)
    assert ": 1 row of 1 seed. " in (boards / "README.md").read_text()


def test_each_page_is_a_line_with_its_picture(make_record: MakeRecord, cli: Cli, tmp_path: Path) -> None:
    boards = boards_of(make_record, cli, tmp_path)
    (boards / "claims").mkdir()
    (boards / "claims" / "pruning.md").write_text("# Does pruning hurt the tail?\n")
    (boards / "claims" / "reading-pruning.md").write_text("Words that pruning.md holds.\n")
    (boards / "claims" / "README.md").write_text("# What papers claim\n")
    (boards / "notes.md").write_text("no heading\n")
    cli("leaderboard", "--folder", boards)
    text = (boards / "README.md").read_text()
    assert text.startswith(f"# Leaderboards\n\n{BEGIN}\n\n**[digitslt](digitslt.md)**: 8x8, imbalance 20, ")
    assert "3 rows of 1 to 3 seeds. Least FD of the minority: `cm` 11.00 ± 1.00, `ddpm` 15.00 ± 1.00. " in text
    assert "Helps the minority and does not hurt the majority: yes 1 (`cm`), not resolved 1. " in text
    assert "Newest result: 2026-01-01.\n\n[![digitslt: distance of the minority" in text
    assert "\n**[other](other.md)**: results of earlier versions alone.\n" in text
    lines = "- [What papers claim](claims/README.md)\n- [Does pruning hurt the tail?](claims/pruning.md)\n"
    lines += "- [untitled](notes.md)\n"
    assert text.endswith(f"\n\n{lines}\n{END}\n")
    assert cli("leaderboard", "--folder", boards).out == ""


def test_what_stands_around_the_marks_stays(make_record: MakeRecord, cli: Cli, tmp_path: Path) -> None:
    boards = boards_of(make_record, cli, tmp_path)
    readme = boards / "README.md"
    readme.write_text(f"# Ours\n\nhello\n\n{BEGIN}\nold\n{END}\n\n## More\n")
    assert f"{readme} is not what the records give" in cli("leaderboard", "--folder", boards, "--check").out
    cli("leaderboard", "--folder", boards)
    text = readme.read_text()
    assert re.fullmatch(rf"# Ours\n\nhello\n\n{BEGIN}\n.*\n{END}\n\n## More\n", text, re.S)
    assert "old" not in text
    assert cli("leaderboard", "--folder", boards, "--check").code == 0


def test_a_readme_without_marks_is_left_alone(make_record: MakeRecord, cli: Cli, tmp_path: Path) -> None:
    boards = boards_of(make_record, cli, tmp_path)
    (boards / "README.md").write_text("# Mine\n")
    assert cli("leaderboard", "--folder", boards).code == 0
    assert (boards / "README.md").read_text() == "# Mine\n"
    assert cli("leaderboard", "--folder", boards, "--check").code == 0
