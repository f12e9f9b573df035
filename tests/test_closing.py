"""The last words of a command: what was learnt, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ltgen_bench.cli.closing import closing, smaller
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.spec.presets import PRESETS


@pytest.mark.parametrize(
    ("methods", "preset", "seeds", "next_"),
    [
        (["cm"], "smoke", [0], "the same command with --preset mini --seeds 0,1,2, for a comparison"),
        (
            ["cm"],
            "mini",
            [0, 1],
            "the same command with --seeds 0,1,2, as a row needs 3 seeds before it can be called best",
        ),
        (["cm"], "mini", [0, 1, 2], "the same command with --method ddpm too, to compare with"),
        (["ddpm"], "mini", [0, 1, 2], "the same command with --method cm too, to compare with"),
        (["ddpm", "cm"], "mini", [0, 1, 2], "ltgen-bench publish IDS, then ltgen-bench leaderboard"),
        (
            ["ddpm", "cm"],
            "mini",
            range(9),
            "ltgen-bench publish RUN... (ltgen-bench list runs), then ltgen-bench leaderboard",
        ),
    ],
)
def test_a_grid_says_what_its_preset_is_good_for_and_what_it_lacks(
    methods: list[str], preset: str, seeds: Sequence[int], next_: str, tmp_path: Path
) -> None:
    jobs = plan(Request(methods, ["digitslt"], seeds, preset), tmp_path)
    about, *seed_by_seed, then = closing(jobs)
    assert seed_by_seed == ["seed by seed: ltgen-bench compare cm ddpm"] * (len(methods) > 1)
    assert about == f"preset {preset}: {PRESETS[preset].summary}"
    assert then == f"next: {next_.replace('IDS', ' '.join(job.run.run_id for job in jobs))}"


def test_settings_that_keep_a_larger_preset_small_are_named(tmp_path: Path) -> None:
    jobs = plan(Request(["cm"], ["digitslt"], settings=["train.steps=20"]), tmp_path)
    assert list(closing(jobs))[1].endswith(
        "--preset mini --seeds 0,1,2 and without --set train.steps, for a comparison"
    )


def test_smaller_presets_are_smaller() -> None:
    assert smaller("paper") == "--preset 60k or mini or study or smoke"
    assert smaller("mini") == "--preset study or smoke"
    assert smaller("smoke") == "--set train.steps=N"
