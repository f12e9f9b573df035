"""What is kept beside published records for pictures: small, and never taken for a result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_records import fill, publish_all

from ltgen_bench.leaderboard.kept import IMAGES, LINES, Kept, record_path
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.run_folder import RunFolder

MakeRecord = Callable[..., Record]
Cli = Callable[..., Any]


def test_a_few_images_and_the_losses_are_published_beside_a_record(
    make_record: MakeRecord, cli: Cli, tmp_path: Path
) -> None:
    record = make_record("cm", 9.0)
    boards = publish_all([record], tmp_path, cli)
    run_folder = RunFolder.of(tmp_path / "runs", record.run)
    strip, curve = Kept(boards).strip(record), Kept(boards).curve(record)
    assert strip is not None
    with np.load(run_folder.samples(record.eval.sample)) as samples:  # type: ignore[union-attr]
        images, labels = samples["images"], samples["labels"]
    assert strip.tolist() == [*images[labels == 0][:IMAGES].tolist(), *images[labels == 9][:IMAGES].tolist()]
    assert len(curve["step"]) <= LINES
    assert (curve["step"][-1], list(curve)) == (800, ["step", "majority", "medium", "minority"])
    assert curve["minority"][0] == pytest.approx(3 * np.mean([1 / step for step in range(50, 65, 5)]), rel=1e-3)
    # From the run itself they are the same.
    assert np.array_equal(Kept(tmp_path / "none", tmp_path / "runs").strip(record), strip)  # type: ignore[arg-type]
    assert Kept(tmp_path / "none", tmp_path / "runs").curve(record) == curve


def test_they_are_small(make_record: MakeRecord, cli: Cli, tmp_path: Path) -> None:
    """At most 32 pixels and 256 colours, even of noise, which nothing compresses."""
    record = make_record("cm", 9.0)
    fill(RunFolder.of(tmp_path / "runs", record.run), record, size=64, channels=3)
    cli("publish", record.run_id, "--runs", tmp_path / "runs", "--folder", tmp_path / "boards")
    path = record_path(tmp_path / "boards", record)
    strip = Kept(tmp_path / "boards").strip(record)
    assert strip is not None
    assert strip.shape == (2 * IMAGES, 32, 32, 3)
    assert path.with_suffix(".png").stat().st_size < 13_000
    assert path.with_name(f"{record.run_id}-loss.csv").stat().st_size < 2_500


def test_what_was_published_before_gets_them_and_nothing_is_written_over(
    make_record: MakeRecord, cli: Cli, tmp_path: Path
) -> None:
    record = make_record("cm", 9.0)
    boards = publish_all([record], tmp_path, cli)
    path = record_path(boards, record).with_suffix(".png")
    mine = path.with_name(f"{record.run_id}-loss.csv")
    path.unlink()
    mine.write_text("step,majority\n1,2\n")
    assert cli("publish", record.run_id, "--runs", tmp_path / "runs", "--folder", boards).code == 0
    assert path.exists()
    assert Kept(boards).curve(record) == {"step": [1.0], "majority": [2.0]}


@pytest.mark.parametrize("samples", [None, b"damaged"])
def test_a_run_without_samples_or_log_is_published_all_the_same(
    make_record: MakeRecord, cli: Cli, tmp_path: Path, samples: bytes | None
) -> None:
    record = make_record("cm", 9.0)
    run_folder = RunFolder.of(tmp_path / "runs", record.run)
    run_folder.create(record.run)
    record.write(run_folder.result(record.eval_id))
    if samples is not None:
        run_folder.samples(record.eval.sample).write_bytes(samples)  # type: ignore[union-attr]
    assert cli("publish", record.run_id, "--runs", tmp_path / "runs", "--folder", tmp_path / "boards").code == 0
    kept = Kept(tmp_path / "boards")
    assert (kept.has_strip(record), kept.strip(record), kept.curve(record), kept.problems) == (False, None, {}, [])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (".png", b"", "is no picture"),
        (".png", None, "does not hold two rows of 5 square images of at most 32 pixels"),
        ("-loss.csv", b"step,majority\n1,much\n", "is no table of losses"),
        ("-loss.csv", b"step,majority\n1,nan\n", "is no table of losses"),
        ("-loss.csv", b"step,majority\n1\n", "is no table of losses"),
        ("-loss.csv", b"step,elsewhere\n1,2\n", "is no table of losses"),
        ("-loss.csv", b"", "is no table of losses"),
        ("-loss.csv", b"\xff\xfe", "is no table of losses"),
    ],
)
def test_damaged_files_are_named_and_left_out(
    make_record: MakeRecord, cli: Cli, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    from PIL import Image

    records = [make_record("cm", 9.0), make_record("ddpm", 12.0)]
    boards = publish_all(records, tmp_path, cli)
    path = record_path(boards, records[0])
    path = path.with_suffix(name) if name == ".png" else path.with_name(f"{records[0].run_id}{name}")
    if content is None:
        Image.new("L", (30, 30)).save(path)
    else:
        path.write_bytes(content)
    got = cli("leaderboard", "--folder", boards)
    assert (got.code, got.err.startswith(f"left out: {path} {message}")) == (1, True), got.err
    assert (boards / "digitslt.md").exists()


def test_unpublished_runs_have_pictures_too(make_record: MakeRecord, cli: Cli, tmp_path: Path) -> None:
    boards = publish_all([make_record("ddpm", 12.0)], tmp_path, cli)
    mine = make_record("cm", 9.0)
    fill(RunFolder.of(tmp_path / "runs", mine.run), mine)
    got = cli("leaderboard", "--folder", boards, "--runs", tmp_path / "runs")
    assert (got.code, got.err) == (0, "")
    drawn = {path.stem.split("-", 2)[2] for path in (tmp_path / "runs" / "leaderboard" / "pictures").iterdir()}
    assert drawn == {"trade-off", "differences", "samples", "losses"}
    assert not (boards / "pictures").exists()
