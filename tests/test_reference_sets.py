"""Scores against the balanced images, the long-tailed training set or the test set, by name."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ltgen_bench
from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.captions import caption
from ltgen_bench.leaderboard.tables import tables
from ltgen_bench.leaderboard.text import score_text
from ltgen_bench.planning.evaluations import USUAL, Evaluation
from ltgen_bench.planning.plan import Request, plan, rescore
from ltgen_bench.runs.job import DataOptions, Execution
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.reproduce import command_line
from ltgen_bench.scoring.checks import check_enough
from ltgen_bench.scoring.extractors import Extractor
from ltgen_bench.scoring.feature_cache import features_of
from ltgen_bench.scoring.feature_sets import Comparison, read
from ltgen_bench.scoring.metrics.frechet import distance
from ltgen_bench.scoring.scorer import RealImages, Scoring

Cli = Callable[..., Any]
SIZES = {"overall": 574, "majority": 378, "medium": 138, "minority": 58}
"""Training images of the digits, by group."""


def projections() -> Extractor:
    weights = torch.randn(3 * 64, 24, generator=torch.Generator().manual_seed(0)) / 1000
    network = lambda x: (x.flatten(1) @ weights, x[:, :0, 0, 0])  # noqa: E731
    return Extractor("projected", "0" * 64, 24, 8, 16, torch.device("cpu"), network)


@pytest.fixture(scope="module")
def generated(digits: LongTail) -> Images:
    """The first 60 of each class of the balanced images, slightly changed."""
    kept = np.concatenate([np.flatnonzero(digits.reference.labels == c)[:60] for c in range(10)])
    return Images(digits.reference.pixels[kept] ^ 1, digits.reference.labels[kept])


@pytest.fixture(scope="module")
def with_test(digits: LongTail) -> LongTail:
    """The digits with the last 50 of each class as a test set."""
    kept = np.concatenate([np.flatnonzero(digits.reference.labels == c)[-50:] for c in range(10)])
    return dataclasses.replace(digits, test=digits.reference[kept])


@pytest.fixture(scope="module")
def scores(with_test: LongTail, generated: Images) -> dict[str, Any]:
    """By the name of the reference."""
    names = ("balanced", "train", "test")
    return {name: Scoring(generated, RealImages.of(with_test, name), projections()).scores() for name in names}


def sizes(scores: dict[str, Any], metric: str) -> dict[str, tuple[int, int]]:
    found = scores[f"{metric}-projected"]
    return {group: (figures["n_real"], figures["n_gen"]) for group, figures in found.items()}


def test_each_figure_is_from_what_images_there_are(scores: dict[str, Any]) -> None:
    made = {"overall": 600, "majority": 180, "medium": 180, "minority": 240}
    for metric in ("FD", "FD64"):
        assert sizes(scores["train"], metric) == {group: (n, made[group]) for group, n in SIZES.items()}
    # Neighbours and kernels: as many generated as real images, and those real ones that there are.
    equal = {"overall": (570, 570), "majority": (180, 180), "medium": (138, 138), "minority": (56, 56)}
    for metric in ("recall", "precision", "KID"):
        assert sizes(scores["train"], metric) == equal
    assert sizes(scores["train"], "class-KID")["9"] == (8, 60)
    assert sizes(scores["test"], "FD")["minority"] == (200, 240)
    assert sizes(scores["test"], "recall")["minority"] == (200, 200)
    assert all(0 <= scores["train"]["recall-projected"][group]["ceiling"] <= 1 for group in SIZES)


def test_the_training_set_is_compared_with_as_it_is(
    scores: dict[str, Any], digits: LongTail, generated: Images
) -> None:
    x, y = (torch.from_numpy(features_of(images, projections()).features) for images in (digits.train, generated))
    for group, ids in (("overall", range(10)), *digits.groups):
        of_group = [f[np.isin(i.labels, list(ids))] for f, i in ((x, digits.train), (y, generated))]
        found = scores["train"]["FD-projected"][group]["value"]
        assert found == pytest.approx(distance(*of_group), rel=1e-4), group


def test_what_needs_as_many_of_each_class_has_them(scores: dict[str, Any]) -> None:
    """Classifiers of labels are fitted to the balanced images, and copies compared with images not trained on."""
    for metric in ("accuracy", "CAS"):
        first, *others = (scores[name][f"{metric}-projected"] for name in ("balanced", "train", "test"))
        assert first == others[0] == others[1]
    assert scores["train"]["memorised-projected"]["minority"]["n_unseen"] > 0


def test_without_a_test_set_copies_are_compared_with_the_balanced_images(digits: LongTail, generated: Images) -> None:
    found = Scoring(generated, RealImages.of(digits, "train"), projections()).scores()["memorised-projected"]
    assert found["overall"]["n_unseen"] > 0
    with pytest.raises(UsageError, match="--against test: digitslt has no test images; score against balanced or tr"):
        RealImages.of(digits, "test")


def test_figures_of_different_references_are_kept_apart(
    with_test: LongTail, generated: Images, scores: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("balanced", "train", "test", "train"):
        real = RealImages.of(with_test, name)
        assert Scoring(generated, real, projections(), cache=tmp_path).scores() == scores[name], name


def test_draws_from_a_long_tail_keep_its_proportions(digits: LongTail, generated: Images) -> None:
    (real, _), (fake, _) = read([digits.train, generated], projections(), None, None)
    compared = Comparison(real, fake, 0)
    drawn = compared.in_proportion(300, distinct=True)
    assert (len(drawn.real), len(drawn.generated)) == (300, 300)
    share = np.bincount(drawn.real.labels, minlength=10) / np.bincount(real.labels)
    assert 0.2 < share.min() < share.max() < 0.8
    assert np.bincount(drawn.generated.labels).tolist() == [30] * 10
    halves = compared.halves_in_proportion(10_000)
    assert (len(halves.real), len(halves.generated)) == (287, 287)
    assert not set(halves.real.digests) & set(halves.generated.digests)
    assert min(np.bincount(half.labels, minlength=10).min() for half in (halves.real, halves.generated)) > 0


def test_a_class_of_one_image_is_refused(digits: LongTail) -> None:
    counts = dict(enumerate(digits.class_counts)) | {9: 1}
    with pytest.raises(UsageError, match=r"1 real images of class 9; scoring needs 2 of each; give more of each"):
        check_enough("real", counts, digits.groups)


def planned(runs: Path, *, against: str | None = None, evaluations: Any = USUAL) -> list[Any]:
    data = DataOptions(against=against)
    request = Request(["ddpm"], ["digitslt"], features="efflite0@32", data=data, execution=Execution("cpu"))
    return plan(dataclasses.replace(request, evaluations=evaluations), runs)


def test_the_reference_is_part_of_a_scores_identity_and_of_its_command(tmp_path: Path, cli: Cli) -> None:
    (usual,), (balanced,), (train,) = (planned(tmp_path, against=name) for name in (None, "balanced", "train"))
    assert usual.eval == balanced.eval
    assert usual.eval.reference_sha256 == usual.run.dataset.reference_sha256
    assert train.eval.reference_sha256 == usual.run.dataset.data_sha256
    assert len({job.eval.eval_id for job in (usual, train)}) == 2
    assert usual.run.run_id == train.run.run_id
    assert "--against" not in command_line(usual.run, usual.eval)
    words = command_line(train.run, train.eval)
    assert words[words.index("--against") + 1] == "train"
    assert cli(*words[1:], "--dry-run", "--runs", tmp_path).code == 0
    both = planned(tmp_path, evaluations=[Evaluation(), Evaluation(against="train")])
    assert [job.eval for job in both] == [usual.eval, train.eval]
    assert [job.title.rpartition(", ")[2] for job in both] == ["reference balanced", "reference train"]


def test_a_run_is_scored_again_against_what_it_was_scored_against(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    (job,) = planned(tmp_path, against="train")
    job.run_folder.create(job.run)
    record = dataclasses.replace(make_record("ddpm"), run=job.run, eval=job.eval)
    record.write(job.run_folder.result(job.eval.eval_id))
    for against, expected in ((None, "train"), ("balanced", "balanced")):
        options = DataOptions(against=against)
        (again,) = rescore(job.run_folder, [], None, options, Execution("cpu"))
        assert again.eval.reference == expected


def test_tables_say_the_reference_and_never_mix_them(make_record: Callable[..., Record]) -> None:
    usual = make_record("ddpm")
    other = dataclasses.replace(usual, eval=dataclasses.replace(usual.eval, reference="train"))
    found = tables([usual, other])
    assert sorted(table.title.rpartition(", ")[2] for table in found) == ["reference balanced", "reference train"]
    assert "reference the long-tailed training set, `" in caption([other])
    assert "reference `" in caption([usual])
    assert score_text(other).startswith(
        f"{score_text(usual).partition(chr(10))[0]} against the long-tailed training set"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tran", "unknown set of real images 'tran' in --against. Did you mean 'train'? Known: balanced, test, train"),
        ("test", "--against test: digitslt has no test images; score against balanced or train"),
    ],
)
def test_a_reference_that_is_not_there_is_refused_in_a_sentence(
    cli: Cli, name: str, message: str, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.npz"
    np.savez(mine, images=np.zeros((120, 8, 8), np.uint8), labels=np.arange(10).repeat(12))
    for command in ("run --method ddpm", f"score --samples '{mine}'"):
        got = cli(*shlex.split(f"{command} --dataset digitslt --features efflite0@32 --against {name}"))
        assert (got.code, got.err) == (2, f"error: {message}\n")


def test_in_python_the_reference_is_an_option(generated: Images) -> None:
    found = ltgen_bench.score(generated, "digitslt", features="efflite0@32", against="train")
    assert found["FD-efflite0@32"]["minority"]["n_real"] == SIZES["minority"]
    with pytest.raises(UsageError, match="--against test: digitslt has no test images"):
        ltgen_bench.score(generated, "digitslt", features="efflite0@32", against="test")
