"""What papers report: every line is verified, and the page says by what protocol each figure was made."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ltgen_bench.leaderboard.folder import published, reported
from ltgen_bench.leaderboard.pages.of_papers import published_page
from ltgen_bench.leaderboard.papers import differences
from ltgen_bench.leaderboard.published import COLUMNS, ITEMS, Figure, read
from ltgen_bench.runs.record import Record
from ltgen_bench.scoring.metric_table import metric_name
from ltgen_bench.spec.specs import NetSpec, RunSpec, SamplingSpec, TrainSpec

BOARDS = Path(__file__).parent.parent / "leaderboards"
PROTOCOL = dict.fromkeys(ITEMS, "not stated")


@pytest.fixture(scope="module")
def committed() -> list[Figure]:
    figures, problems = read(BOARDS / "published.csv")
    assert not problems
    return figures


def line(protocol: dict[str, str] | None = None, **changed: str) -> dict[str, str]:
    """A line that can be read, except for what is changed."""
    said = "; ".join(f"{item}: {text}" for item, text in (PROTOCOL | (protocol or {})).items())
    good = ("cm", "own", "cifar100lt", "100", "FID", "overall", "7.519", said, "its authors")
    source = "CM (Hong et al., ICLR 2026), Table 2; read in a note"
    return dict(zip(COLUMNS, (*good, source, ""), strict=True)) | changed


def write(path: Path, *lines: dict[str, str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(lines)
    return path


def page_of(path: Path, *lines: dict[str, str]) -> str:
    figures, problems = read(write(path / "published.csv", *lines))
    assert not problems
    return published_page(figures)


def cells(page: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in page.splitlines() if row.startswith("|")]


@pytest.mark.parametrize(
    ("paper", "of", "value"),
    [
        ("CM", ("cifar100lt", "100", "ddpm", "FID", "overall"), "10.163"),
        ("CM", ("cifar100lt", "100", "cm", "FID", "overall"), "7.519"),
        ("CM", ("cifar100lt", "100", "cm", "FID", "minority"), "18.729"),
        ("CM", ("cifar100lt", "50", "t2h", "FID", "overall"), "7.188"),
        ("CM", ("cifar10lt", "100", "cbdm", "KID", "overall"), "0.0026"),
        ("CM", ("ImageNet-LT 64", "256", "cm", "FID", "overall"), "7.72"),
        ("CORAL", ("cifar100lt", "100", "ddpm", "FID", "overall"), "7.70"),
        ("CORAL", ("cifar10lt", "1000", "CORAL", "recall", "overall"), "0.56"),
        ("OC", ("cifar100lt", "not stated", "t2h", "FID gain over cbdm", "overall"), "2.43"),
        ("IGD", ("cifar10lt", "100", "IGD, mutual learning", "IS", "overall"), "8.92"),
        ("yluo5820 at 60k steps", ("cifar100lt", "100", "cbdm", "FID", "minority"), "64.895"),
    ],
)
def test_well_known_figures_are_as_reported(
    committed: list[Figure], paper: str, of: tuple[str, ...], value: str
) -> None:
    found = [f for f in committed if (f.dataset, f.ratio, f.method, f.metric, f.group) == of]
    assert [f.value for f in found if f.origin["paper"] == paper] == [value]


def test_sources_that_contradict_themselves_are_all_there_and_doubted(committed: list[Figure]) -> None:
    found = [f for f in committed if (f.method, f.group) == ("cm, low-rank part removed for sampling", "minority")]
    assert {f.value for f in found} == {"29.357", "27.195"}
    assert all("two notes disagree" in f.doubts for f in found)
    assert all("dropout" in f.doubts for f in committed if f.origin["paper"] == "OC")


def test_the_figures_that_the_introduction_quotes_are_in_the_table(committed: list[Figure]) -> None:
    quoted = published_page(committed).split("## Contents")[0]
    values = {f.value for f in committed if f.dataset == "cifar100lt"}
    assert {"10.163", "7.70", "24.651", "44.406"} <= {v for v in values if v in quoted}


def test_the_committed_page_is_up_to_date() -> None:
    (page,), problems = reported(BOARDS, published(BOARDS)[0])
    assert not problems
    assert page.current


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"metric": "FIDD"}, "unknown metric 'FIDD'. Did you mean 'FID'?"),
        ({"group": "tail"}, "unknown group 'tail'"),
        ({"role": "ours"}, "unknown role 'ours'"),
        ({"value": "7,519"}, "'7,519' is no FID"),
        ({"value": "nan"}, "'nan' is no FID"),
        ({"metric": "recall", "value": "52"}, "'52' is no recall"),
        ({"ratio": "0.01"}, "the ratio is 1 or more, 'natural' or 'not stated', not '0.01'"),
        ({"method": ""}, "method is empty"),
        ({"doubts": "a | b"}, "doubts has a line break, a | or outer spaces"),
        ({"protocol": "steps: 1"}, "the protocol must be 'steps: ...; batch: ...;"),
        ({"source": "CM, Table 2"}, "the source must be 'PAPER (REFERENCE), PLACE; read in WHERE'"),
        ({"group": "minority"}, "the protocol does not say what its group minority is"),
    ],
)
def test_a_bad_line_is_named_in_one_sentence(tmp_path: Path, bad: dict[str, str], said: str) -> None:
    path = write(tmp_path / "published.csv", line(), line(method="ddpm") | bad)
    figures, (problem,) = read(path)
    assert len(figures) == 1
    assert problem.startswith(f"{path} line 3: {said}")
    assert "\n" not in problem


def test_figures_stand_once_and_lines_are_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "published.csv", line(), line(value="7.6", doubts="or not"))
    assert read(path)[1] == [f"{path} line 3: the same figure stands in line 2"]
    path.write_text(f"{','.join(COLUMNS)}\ncm,own\n")
    assert read(path)[1] == [f"{path} line 2: 2 cells where there are 11 columns"]
    path.write_text("a,b\n")
    assert read(path) == ([], [f"{path}: the first line must be {','.join(COLUMNS)}, not a,b"])
    path.write_bytes(f"{','.join(COLUMNS)}\ncm\xe9".encode("latin-1"))
    assert "is not a CSV file in UTF-8" in read(path)[1][0]


def test_sources_stand_under_each_other_with_how_they_were_made(tmp_path: Path) -> None:
    of_cm = {"steps": "300,000", "batch": "64", "sampler": "DDIM, 50 steps", "omega": "1.5", "images": "50,000"}
    of_coral = {"steps": "150,000", "batch": "128", "sampler": "ancestral, 1,000 steps", "images": "50,000"}
    coral = "CORAL (Rodriguez et al., NeurIPS 2025), Table 1; read in a note"
    others = "Somebody (A B, 2026), a table; read in a note"
    stated = of_cm | {"features": "2015 Inception, legacy resize", "reference": "balanced"}
    page = page_of(
        tmp_path,
        line(of_cm | {"labels": "500 of each class"}),
        line(stated, method="ddpm", value="10.163"),
        line(of_coral | {"omega": "0.8"}, method="ddpm", role="baseline", value="7.70", source=coral),
        line(of_cm | {"images": "10,000 (code)"}, method="ddpm", role="rerun", value="36.2", source=others),
        line({"steps": "60,000"}, method="ddpm", role="rerun", value="16", source=others.replace("Some", "Any")),
        line(method="cm without L_Div", role="ablation", value="8.073", source="CM (Hong), Table 3; read in a note"),
    )
    table, protocols = page.split("### FID over all classes, by how it was made")[1].split("### ")[0].split("\n- ", 1)
    assert cells(table)[2:] == [
        ["`cm`", "**7.519**", "CM", "`cm`; not stated: features, reference"],
        ["`ddpm`", "**10.163**", "CM", "`cm`; not stated: labels"],
        ["", "7.70", "CORAL", "`coral`, omega 0.8; not stated: labels, features, reference"],
        ["", "36.2", "Somebody", "`cm`, but images 10,000; not stated: labels, features, reference"],
        ["", "16", "Anybody", "steps 60,000"],
    ]
    assert protocols.startswith("`cm`: steps 300,000; batch 64; sampler DDIM, 50 steps; omega 1.5; images 50,000; ")
    assert "\n- `coral`: steps 150,000; batch 128; sampler ancestral, 1,000 steps; omega tuned; " in protocols


CM_SAYS = {
    "steps": "300,000",
    "batch": "64",
    "sampler": "DDIM, 50 steps",
    "omega": "1.5",
    "images": "50,000 (code)",
    "labels": "as many of each class",
    "features": "2015 Inception, bilinear resize inside the network (legacy), from 8-bit files",
    "reference": "balanced training set, 50,000",
}


@pytest.fixture
def measured(make_record: Callable[..., Record]) -> Callable[..., Record]:
    """A result of this suite, invented, that was made as CM says."""

    def make(fid: float = 7.6, method: str = "cm", **changed: Any) -> Record:
        data = {"name": "cifar100lt", "imbalance": 100.0, "size": 32, "channels": 3} | changed.pop("data", {})
        sample = vars(SamplingSpec()) | changed.pop("sample", {})
        train = {"precision": "bf16"} | changed.pop("train", {})
        features, net = changed.pop("features", "inception-legacy"), changed.pop("net", NetSpec())
        record = make_record(method, fid, data=data, sample=sample, features=features, **changed)
        assert isinstance(record.run, RunSpec)
        run = dataclasses.replace(record.run, net=net, train=dataclasses.replace(TrainSpec(), **train))
        scores = {metric_name("FD", features): {"overall": {"value": fid, "n_gen": 50_000}}}
        return dataclasses.replace(record, run=run, scores=scores)

    return make


def test_a_result_stands_beside_a_figure_that_was_made_in_the_same_way(
    tmp_path: Path, measured: Callable[..., Record]
) -> None:
    lines = line(CM_SAYS, doubts="labels: or drawn"), line(CM_SAYS, method="ddpm")
    figures, _ = read(write(tmp_path / "published.csv", *lines))
    seeds = [measured(7.6 + seed / 10, seed=seed) for seed in (0, 1, 2)]
    page = published_page(figures, [measured(36.0, train={"steps": 60_000}), *seeds])
    table = page.split("### FID over all classes, by how it was made")[1].split("### ")[0]
    assert cells(table)[2:] == [
        ["`cm`", "**7.519**", "CM", "`cm`"],
        ["", "7.70 ± 0.10", "this suite, seeds 0, 1, 2, trained in bf16", "as by CM; doubts: see CM below"],
        ["`ddpm`", "**7.519**", "CM", "`cm`"],
    ]
    assert (
        "- 1 row of this suite, made otherwise, not in this table; the nearest, cm, beside `cm` by CM: "
        "steps 60,000, not 300,000\n"
    ) in table
    assert published_page(figures, seeds[::-1]) == published_page(figures, seeds)
    assert "### FID over all" not in published_page(figures)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"sample": {"omega": 1.0}}, "omega 1, not 1.5"),
        ({"sample": {"omega_minority": 2.0}}, "omega 1.5 (minority 2), not 1.5"),
        ({"sample": {"labels": "uniform"}}, "labels drawn independently, uniform, not as many of each class"),
        ({"sample": {"steps": 100}}, "sampler DDIM, 100 steps, not DDIM, 50 steps"),
        ({"sample": {"clip": True}}, "sampler DDIM, 50 steps, clipped, not DDIM, 50 steps"),
        ({"sample": {"images": 10_000}}, "images 10,000, not 50,000"),
        ({"features": "inception"}, "features 2015 Inception, clean resize (bicubic, antialiased), not 2015 Inception"),
        ({"train": {"batch": 128}}, "batch 128, not 64"),
        ({"train": {"flip": False}}, "another training recipe than the papers'"),
        ({"train": {"ema": 0.999}}, "another training recipe than the papers'"),
        ({"net": NetSpec((32, 64))}, "another network or noise schedule than the papers'"),
        ({"data": {"imbalance": 50.0}}, "data cifar100lt at 32 pixels, ratio 50"),
        ({"data": {"name": "cifar10lt"}}, "data cifar10lt at 32 pixels, ratio 100"),
        ({"data": {"size": 16}}, "data cifar100lt at 16 pixels, ratio 100"),
        ({"method": "cm+t2h"}, "method cm+t2h"),
        ({"params": {"w_div": 1.0}}, "method cm (cm.w_div=1.0)"),
        ({"protocol": 1}, "earlier protocol 1"),
    ],
)
def test_a_result_that_was_made_otherwise_does_not(
    tmp_path: Path, measured: Callable[..., Record], changed: dict[str, Any], why: str
) -> None:
    (figure,), _ = read(write(tmp_path / "published.csv", line(CM_SAYS)))
    assert differences(figure, measured()) == []
    (found,) = differences(figure, measured(**changed))
    assert found.startswith(why)


def test_what_a_source_does_not_state_keeps_results_from_beside_it(
    tmp_path: Path, measured: Callable[..., Record]
) -> None:
    (figure,), _ = read(write(tmp_path / "published.csv", line(CM_SAYS | {"features": "not stated"})))
    assert differences(figure, measured()) == ["features not stated"]


def test_what_differs_within_a_source_is_a_column(tmp_path: Path) -> None:
    page = page_of(tmp_path, line({"omega": "0.8"}), line({"omega": "1.6"}, method="cbdm", role="baseline", value="6"))
    table = page.split("### CM: Table 2")[1]
    assert cells(table)[0] == ["method", "omega", "FID overall ↓"]
    assert cells(table)[2:] == [["`cm`", "0.8", "**7.519**"], ["`cbdm`", "1.6", "6"]]
    assert "- protocol: not stated: steps, batch, sampler, images, labels, features, reference, seeds\n" in table


def test_doubts_stand_where_they_belong(tmp_path: Path) -> None:
    page = page_of(
        tmp_path,
        line(doubts="base not known // unread"),
        line(metric="IS", value="13.45", doubts="base not known // ten splits // unread"),
        line(method="ddpm", value="10.163", doubts="a digit is smudged // unread"),
        line(method="ddpm", metric="IS", value="13.45", doubts="ten splits // unread"),
    )
    table = page.split("### CM: Table 2")[1]
    assert cells(table)[0] == ["method", "FID overall ↓", "IS overall ↑ [b]"]
    assert [row[:2] for row in cells(table)[2:]] == [["`cm` [a]", "**7.519**"], ["`ddpm`", "**10.163** [c]"]]
    notes = ["- [a] base not known", "- [b] ten splits", "- [c] a digit is smudged", "- unread"]
    assert [text for text in table.splitlines() if text.startswith("- ")][-4:] == notes


def test_leaderboard_makes_the_page_where_there_is_a_table(tmp_path: Path, cli: Callable[..., Any]) -> None:
    nothing = cli("leaderboard", "--check", "--folder", tmp_path)
    assert (nothing.code, nothing.out) == (0, f"no results in {tmp_path / 'results'}\n")

    table, page = write(tmp_path / "published.csv", line()), tmp_path / "published.md"
    stale = cli("leaderboard", "--check", "--folder", tmp_path)
    assert (stale.code, page.exists()) == (1, False)
    assert f"{page} is not what the lines of {table} give; run ltgen-bench leaderboard\n" in stale.out
    assert f"wrote {page}\n" in cli("leaderboard", "--folder", tmp_path).out
    assert cli("leaderboard", "--check", "--folder", tmp_path).code == 0

    before = page.read_text()
    write(table, line(metric="FIDD"))
    refused = cli("leaderboard", "--folder", tmp_path)
    assert refused.code == 1
    assert refused.err.startswith(f"left out: {table} line 2: unknown metric 'FIDD'. Did you mean 'FID'?")
    assert page.read_text() == before
