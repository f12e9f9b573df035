"""A grid over widths: which networks, and what is made of their results."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ltgen_bench.diffusion import unet
from ltgen_bench.diffusion.unet import build
from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.paired import mean_and_interval
from ltgen_bench.planning.plan import Request
from ltgen_bench.planning.widths import check_widths, grid_name, parameters, plan_widths, usual_widths, widened
from ltgen_bench.probes import width_claim
from ltgen_bench.probes.width import Widths
from ltgen_bench.probes.width_page import notes, table, write_page
from ltgen_bench.runs.job import Execution
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.presets import PRESETS
from ltgen_bench.spec.specs import NetSpec, RunSpec

Figures = Mapping[tuple[str, int], tuple[tuple[float, float], ...]]
"""By method and width, of each seed: the majority's distance and the minority's."""

CLOSING: Figures = {
    ("ddpm", 8): ((50, 90), (51, 92), (49, 91)),
    ("ddpm", 32): ((30, 40), (31, 42), (30, 41)),
    ("cm", 8): ((50, 70), (51, 71), (49, 72)),
    ("cm", 32): ((30, 39), (31, 42), (30, 41)),
}


@pytest.fixture
def widths(make_record: Callable[..., Record]) -> Callable[[Figures], Widths]:
    def record(method: str, width: int, seed: int, majority: float, minority: float) -> Record:
        plain = make_record(method, seed=seed)
        assert isinstance(plain.run, RunSpec)
        run = dataclasses.replace(plain.run, net=NetSpec(channels=(width, 2 * width), layers=1))
        values = {"overall": (majority + minority) / 2, "majority": majority, "medium": 60.0, "minority": minority}
        figures = {group: {"value": value, "n_real": 9000, "n_gen": 9000} for group, value in values.items()}
        return dataclasses.replace(plain, run=run, scores={"FD-efflite0@96": figures})

    def make(figures: Figures) -> Widths:
        records = [
            record(method, width, seed, *pair)
            for (method, width), seeds in figures.items()
            for seed, pair in enumerate(seeds)
        ]
        return Widths.of(records, list(dict.fromkeys(method for method, _ in figures)), parameters)

    return make


def test_where_widths_were_trained_is_said_if_not_all_alike(widths: Callable[[Figures], Widths]) -> None:
    found = widths(CLOSING)
    assert "Trained on" not in notes(found)
    devices = {8: "cpu (1 threads)", 32: "2 x NVIDIA H200"}
    trained = [
        dataclasses.replace(r, training={"devices": {devices[r.run.net.channels[0]]: 500}})
        for r in found.records
        if isinstance(r.run, RunSpec)
    ]
    assert notes(Widths.of(trained, ["ddpm", "cm"], parameters)).endswith(
        " Trained on different kinds of device, which may draw other noise from a seed: 8-16: CPU; 32-64: NVIDIA H200."
    )
    trained[0] = dataclasses.replace(trained[0], provenance={**trained[0].provenance, "dirty": True})
    wide = notes(Widths.of(trained, ["ddpm", "cm"], parameters))
    assert wide.endswith("32-64: NVIDIA H200. Made with uncommitted changes to the suite: 8-16.")


def test_a_gap_that_closes_and_help_where_capacity_is_scarce_are_told(widths: Callable[[Figures], Widths]) -> None:
    found = widths(CLOSING)
    assert found.base == "ddpm"
    gap = found.over_width("ddpm", lambda cell: cell.gap)
    assert gap is not None
    assert gap.pairs == {0: (10, 40), 1: (11, 41), 2: (11, 42)}
    assert found.answers == [
        "ddpm: the gap closes with width (narrowest less widest +30.33 [+28.90, +31.77])",
        "ddpm: the minority's distance over the majority's falls with width "
        "(narrowest less widest +0.47 [+0.42, +0.52])",
        "cm: the gap closes with width (narrowest less widest +10.67 [+6.87, +14.46])",
        "cm: not resolved whether the minority's distance over the majority's falls with width (narrowest less widest "
        "+0.08 [-0.01, +0.17]; the interval holds 0)",
        "cm: it helps the minority more in the narrowest network (narrowest less widest +19.67 [+16.80, +22.54])",
    ]


def test_what_is_not_resolved_is_called_so(widths: Callable[[Figures], Widths]) -> None:
    two_seeds = widths({cell: seeds[:2] for cell, seeds in CLOSING.items()})
    assert all("not resolved" in answer and "2 of the 3 seeds" in answer for answer in two_seeds.answers)
    same = {("ddpm", w): ((50.0, 90.0 + w), (50.0, 91.0), (50.0, 92.0 - w)) for w in (8, 16)}
    assert "the interval holds 0" in widths(same).answers[0]
    apart = widths({("ddpm", 8): ((50, 90),), ("cm", 8): ((50, 80),), ("cm", 16): ((50, 70),)})
    assert "cannot be told" in apart.answers[0]
    assert "cannot be told" in apart.answers[-1]  # the baseline has one width only


def test_a_ratio_is_taken_only_where_it_means_something(widths: Callable[[Figures], Widths]) -> None:
    found = widths({("ddpm", 8): ((10, 20), (0, 20), (-1, 20)), ("ddpm", 16): ((10, 15), (5, 10), (5, 10))})
    assert [cell.ratio for cell in found.cells] == [{0: 2}, {0: 1.5, 1: 2, 2: 2}]
    assert "1 of the 3 seeds" in found.answers[1]


def test_the_table_has_a_line_for_each_network_and_method(widths: Callable[[Figures], Widths]) -> None:
    lines = table(widths(CLOSING)).splitlines()
    first = lines[2].split()
    assert first[:4] == ["8-16", f"{parameters_of(8):,}", "ddpm", "3"]
    mean, half = mean_and_interval([90, 92, 91])
    assert f"{mean:.2f} ± {half:.2f}" in lines[2]
    assert "-20.00 ± 2.48 (better)" in lines[3]
    assert [line.split()[2] for line in lines[2:]] == ["ddpm", "cm", "ddpm", "cm"]
    alone = table(widths({cell: seeds[:1] for cell, seeds in CLOSING.items() if cell[0] == "ddpm"}))
    assert "±" not in alone
    assert "to ddpm" not in alone


def parameters_of(width: int) -> int:
    net = build(NetSpec((width, 2 * width), layers=1), size=8, channels=1, num_classes=10, seed=0)
    return sum(p.numel() for p in net.parameters())


def test_student_intervals_of_two_and_three_seeds() -> None:
    assert mean_and_interval([1.0]) == (1.0, None)
    assert mean_and_interval([1.0, 3.0]) == (2.0, pytest.approx(12.706, abs=1e-3))
    assert mean_and_interval([1.0, 2.0, 3.0]) == (2.0, pytest.approx(4.3027 / 3**0.5, abs=1e-3))


def test_the_page_is_the_same_each_time_and_holds_every_figure(
    widths: Callable[[Figures], Widths], tmp_path: Path
) -> None:
    found = widths(CLOSING)
    once, again = (
        write_page(found, tmp_path / name, "width-x", "COMMAND", ["a run: failed"]) for name in ("once", "again")
    )
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
    value = json.loads(once[0].read_bytes())
    assert value["cells"][0]["distances"]["minority"] == {"0": 90, "1": 92, "2": 91}
    assert [cell["channels"] for cell in value["cells"]] == [[8, 16], [8, 16], [32, 64], [32, 64]]
    text = once[1].read_text()
    assert "    COMMAND\n" in text
    assert "no result of a run: failed" in text
    assert f"]({once[2].name})" in text
    assert "{" not in text


def test_the_page_of_claims_shows_what_was_found(widths: Callable[[Figures], Widths], tmp_path: Path) -> None:
    assert "Nothing was measured yet." in width_claim.section(tmp_path)
    found = widths(CLOSING)
    data, page, picture = write_page(found, tmp_path, "width-x", "COMMAND")
    (tmp_path / "reading-width.md").write_text("Seen so.\n")
    text = width_claim.section(tmp_path)
    assert all(f"- {answer}\n" in text for answer in found.answers)
    assert all(f"]({path.name})" in text for path in (data, page, picture))
    assert text.index("Seen so.") < text.index("### digitslt")
    data.write_text("{")
    with pytest.raises(UsageError, match=f"{data.name} is damaged"):
        width_claim.section(tmp_path)


@pytest.mark.parametrize("name", PRESETS)
def test_usual_widths_go_from_thousands_to_a_million_parameters(name: str) -> None:
    net = PRESETS[name].net
    nets = [widened(net, width) for width in usual_widths(net)]
    sizes = [unet.parameters(net, size=32, channels=3, num_classes=100) for net in nets]
    assert len(sizes) in (4, 5)  # as --help says, and what follows
    assert sizes == sorted(sizes)
    assert 10_000 < sizes[0] < 40_000
    assert 0.85e6 < sizes[-1] < 1.2e6


def test_all_widths_have_groups_of_the_same_size() -> None:
    for width in (4, 8, 12, 40, 128):
        net = widened(NetSpec(channels=(32, 64), groups=8), width).resolved
        assert net.channels == (width, 2 * width)
        assert net.channels[0] == 4 * (net.groups or 0)


def test_the_grid_is_of_ordinary_runs_told_apart_by_their_channels(tmp_path: Path) -> None:
    jobs = plan_widths(asked([0, 1]), [8, 16], tmp_path)
    assert [job.run.net.channels for job in jobs] == [(8, 8)] * 4 + [(16, 16)] * 4
    assert len({job.run.run_id for job in jobs}) == 8
    assert jobs[0].title == "digitslt ddpm seed 0, channels 8-8"


def test_more_seeds_make_the_same_page_and_another_width_another(tmp_path: Path) -> None:
    names = [grid_name(plan_widths(asked(seeds), [8, 16], tmp_path)) for seeds in ([0], [0, 1])]
    assert names[0] == names[1]
    assert grid_name(plan_widths(asked([0]), [8, 16, 32], tmp_path)) != names[0]


def asked(seeds: list[int]) -> Request:
    return Request(["ddpm", "cm"], ["digitslt"], seeds, execution=Execution("cpu"), features="efflite0@32")


@pytest.mark.parametrize(("options", "says"), [
    (["--widths", "8"], "nothing to compare"),
    (["--widths", "8,10"], "10 is no multiple of 4, .* use 8 or 12"),
    (["--widths", "8,8"], "8 is there twice"),
    (["--widths", "2,8"], "from 4 to 1024 channels, not 2"),
    (["--widths", "8;16"], "whole numbers with commas"),
    (["--widths", "8,16", "--set", "net.channels=8,8"], "follows from --widths"),
    (["--set", "net.groups=2"], "follows from --widths"),
    (["--preset", "minni"], "Did you mean 'mini'"),
    (["--method", "cmm"], "Did you mean 'cm'"),
    (["--dataset", "digitsl"], "Did you mean 'digitslt'"),
])  # fmt: skip
def test_mistakes_get_a_sentence(cli: Callable[..., Any], tmp_path: Path, options: list[str], says: str) -> None:
    words = {"--method": "ddpm", "--dataset": "digitslt"}
    given = [word for name, value in words.items() if name not in options for word in (name, value)]
    done = cli("probe", "width", *given, *options, "--runs", tmp_path)
    assert done.code == 2
    assert done.out == ""
    assert len(done.err.splitlines()) == 1
    assert re.search(says, done.err)
    assert not [*tmp_path.iterdir()]


def test_a_dry_run_shows_networks_and_time(cli: Callable[..., Any], tmp_path: Path) -> None:
    options = ["--method", "ddpm", "--dataset", "digitslt", "--widths", "16,8", "--seeds", "0,1", "--dry-run"]
    done = cli("probe", "width", *options, "--features", "efflite0@32", "--runs", tmp_path / "runs")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith("channels 8-8: 18,873 parameters, 2 runs of about ")
    assert lines[1].startswith("channels 16-16: 72,817 parameters, 2 runs of about ")
    assert "one after another" in lines[2]
    assert not (tmp_path / "runs").exists()


def test_widths_come_in_rising_order() -> None:
    assert check_widths([32, 8, 16]) == [8, 16, 32]
