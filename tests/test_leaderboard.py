"""Pages are a pure function of the records, and never put unlike results into one table."""

from __future__ import annotations

import dataclasses
import random
import re
import shlex
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ltgen_bench.leaderboard import versions
from ltgen_bench.leaderboard.folder import published
from ltgen_bench.leaderboard.frame import figures
from ltgen_bench.leaderboard.pages.of_dataset import build
from ltgen_bench.leaderboard.text import main_score, pull_text, score_text, table_text
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.runs.record import Record
from ltgen_bench.scoring.scorer import SCORE_VERSION
from ltgen_bench.spec.specs import PROTOCOL

GOLDEN = Path(__file__).parent / "golden"
MakeRecord = Callable[..., Record]


@pytest.fixture
def sweep(make_record: MakeRecord) -> list[Record]:
    """A little of everything that a page can show."""
    records = [make_record("ddpm", fd, seed=seed) for seed, fd in enumerate((12.0, 13.0, 14.5))]
    records += [make_record("cbdm", fd, seed=seed) for seed, fd in enumerate((11.0, 12.5, 12.0))]
    records += [
        make_record("cm", fd, seed=seed, deviations={"cm": "diversity term capped at D = 1"}, alarms={"cm/guard": 3})
        for seed, fd in enumerate((9.0, 10.0, 9.5, 9.2))
    ]
    records += [make_record("cm+cbdm", fd, seed=seed) for seed, fd in enumerate((7.0, 8.5))]
    records += [make_record("cm", 8.0, seed=0, params={"w_div": 1.0})]
    records += [make_record("cb", 15.0, seed=0, dirty=True)]
    records += [make_record("resample", 6.0, seed=seed, memorised="minority") for seed in range(3)]
    records += [make_record("t2h", 16.0, version=2), make_record("t2h", 17.0, version=1)]
    records += [make_record("ddpm", 30.0, train={"steps": 40})]
    records += [make_record("ddpm", 31.0, features="inception", flag="n<d")]
    return records


def tables(page: str) -> list[list[list[str]]]:
    """The cells of each table of a page, header first, without the line below it."""
    found: list[list[list[str]]] = []
    inside = False
    for line in page.splitlines():
        if line.startswith("|"):
            if not inside:
                found.append([])
            if not line.startswith("|--"):
                found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        inside = line.startswith("|")
    return found


def row(page: str, name: str) -> list[str]:
    """The first row of that name."""
    return next(cells for table in tables(page) for cells in table if cells[0] == name)


def first_tables(page: str) -> list[list[list[str]]]:
    """Those that answer at a glance."""
    return [table for table in tables(page) if table[0][:2] == ["method", "seeds"]]


def test_the_page_of_a_grid_is_the_stored_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # To accept a change: write `page` to the file and read the difference. Commands follow the presets of the day.
    monkeypatch.setattr(versions, "PROTOCOL", 2)
    monkeypatch.setattr(versions, "SCORES", {})
    records, problems = published(GOLDEN / "board")
    page = re.sub(r"\n- .*: `ltgen-bench run .*`(?=\n)", "", build(records)["digitslt"])
    assert not problems
    assert page == (GOLDEN / "leaderboard.md").read_text(encoding="utf-8")


def test_the_order_of_the_records_changes_nothing(sweep: list[Record]) -> None:
    for seed in range(5):
        assert build(random.Random(seed).sample(sweep, len(sweep))) == build(sweep)


def test_cells_are_mean_and_sample_deviation_over_seeds(make_record: MakeRecord) -> None:
    values = [12.0, 13.0, 14.5]
    page = build([make_record("ddpm", fd, seed=seed) for seed, fd in enumerate(values)])["digitslt"]
    name, seeds, overall, majority, *_ = row(page, "ddpm")
    assert (name, seeds) == ("ddpm", "3")
    assert overall == f"**{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}**" == "**13.17 ± 1.26**"
    assert majority == "**12.17 ± 1.26**"
    assert row(build([make_record("ddpm", 12.0)])["digitslt"], "ddpm")[1:3] == ["1", "12.00"]


def test_arrows_say_which_way_is_better(make_record: MakeRecord) -> None:
    header = tables(build([make_record()])["digitslt"])[0][0]
    assert header[2:6] == ["FD overall ↓", "FD majority ↓", "FD minority ↓", "recall minority ↑"]
    page = build([make_record(features="inception")])["digitslt"]
    assert tables(page)[0][0][2] == "FID overall ↓"
    assert re.findall(r"^\*\*(.*)\*\*$", page, re.M) == ["FID ↓", "IS ↑", "recall ↑", "precision ↑", "label accuracy ↑"]


@pytest.mark.parametrize(
    "unlike",
    [
        {"data": {"imbalance": 10.0}},
        {"data": {"split_sha256": "other"}},
        {"train": {"steps": 801}},
        {"train": {"precision": "bf16"}},
        {"sample": {"omega": 0.0}},
        {"sample": {"images": 1000}},
        {"protocol": 1},
        {"features": "efflite0@64"},
        {"score_version": 1},
    ],
)
def test_unlike_results_get_tables_of_their_own(make_record: MakeRecord, unlike: dict[str, Any]) -> None:
    page = build([make_record("ddpm"), make_record("cm"), make_record("cb", **unlike)])["digitslt"]
    assert sorted(sorted(cells[0] for cells in table[1:]) for table in first_tables(page)) == [["cb"], ["cm", "ddpm"]]
    assert "Over guidance" not in page  # no row has more than one omega
    assert not any(cells[0] == "cb" for table in tables(page) for cells in table if table[0][1].startswith("FD"))


def test_datasets_get_pages_of_their_own(make_record: MakeRecord) -> None:
    pages = build([make_record(), make_record(data={"name": "cifar10lt"})])
    assert list(pages) == ["cifar10lt", "digitslt"]


def test_titles_say_what_tables_mostly_differ_in(make_record: MakeRecord) -> None:
    page = build([make_record(train={"steps": 4000}, sample={"omega": 0.0}, data={"imbalance": None})])["digitslt"]
    assert "\n## 8x8, images as they come, 4,000 steps x 32, 500 images, omega 0, efflite0@96\n" in page


@pytest.mark.parametrize(
    ("unlike", "told"),
    [
        ([{}, {"train": {"lr": 1e-4}}], ["train.lr 0.001", "train.lr 0.0001"]),
        ([{}, {"sample": {"steps": 50}}], ["sample.steps 20", "sample.steps 50"]),
        (
            [{}, {"data": {"split_sha256": "other"}}],
            ["dataset.split_sha256 a1a1a1a1a1a1", "dataset.split_sha256 other"],
        ),
        (
            [{}, {"train": {"lr": 1e-4}}, {"sample": {"steps": 50}}],
            ["sample.steps 20, train.lr 0.001", "sample.steps 20, train.lr 0.0001", "sample.steps 50, train.lr 0.001"],
        ),
        ([{}, {"train": {"ema": 0.5, "lr": 1e-4}}], ["train.ema 0.99", "train.ema 0.5"]),  # one is enough
    ],
)
def test_tables_that_would_have_one_title_say_what_differs(
    make_record: MakeRecord, unlike: list[dict[str, Any]], told: list[str]
) -> None:
    page = build([make_record("cm", **each) for each in unlike])["digitslt"]
    titles = re.findall(r"^## (.*)$", page, re.M)
    common = "8x8, imbalance 20, 800 steps x 32, 500 images, omega 1.5, efflite0@96"
    assert sorted(titles) == sorted(f"{common}, {each}" for each in told)


def test_no_two_tables_of_a_page_have_the_same_title(sweep: list[Record], make_record: MakeRecord) -> None:
    more = [{"data": {"version": 2}}, {"protocol": 77}, {"score_version": 3}, {"train": {"warmup": 1}}]
    page = build(sweep + [make_record("ddpm", 5.0, **each) for each in more])["digitslt"]
    titles = re.findall(r"^## .*$", page, re.M)
    assert len(set(titles)) == len(titles) == 7


def test_results_of_earlier_versions_stand_apart_and_say_why(
    make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "PROTOCOL", 2)
    monkeypatch.setattr(versions, "SCORES", {1: "recall counted copies"})
    new = {"protocol": 2, "score_version": 2}
    records = [
        *(make_record("cm", 9.0, seed=seed, **new) for seed in range(3)),
        make_record("ddpm", 1.0, protocol=1, score_version=2),
        make_record("cb", 2.0, protocol=2, score_version=1),
    ]
    today, earlier = build(records)["digitslt"].split("\n## Results of earlier versions\n")
    assert build(records[:3])["digitslt"] == today
    assert [line.split("|")[1].strip() for line in earlier.splitlines() if line.startswith("|")][2:4] == [
        "protocol 1",
        "score version 1",
    ]
    assert versions.PROTOCOLS[1] in earlier
    assert "recall counted copies" in earlier
    titles = re.findall(r"^### (.*)$", earlier, re.M)
    assert [title.partition("efflite0@96, ")[2] for title in titles] == ["protocol 1", "score version 1"]
    assert row(today, "cm")[0] == "cm"
    assert {cells[0] for table in tables(earlier)[1:] for cells in table[1:]} == {"ddpm", "cb"}


def test_every_earlier_version_says_what_it_changed() -> None:
    assert versions.PROTOCOLS.keys() >= set(range(1, PROTOCOL))
    assert set(versions.SCORES) == set(range(1, SCORE_VERSION))


def test_the_command_on_a_page_gives_the_row_again(
    make_record: MakeRecord, cli: Callable[..., Any], tmp_path: Path
) -> None:
    settings = ["cm.w_div=1", "sample.omega=0.5"]
    jobs = plan(Request(["cm+cb"], ["digitslt"], [3, 1], settings=settings), tmp_path)
    some = make_record()
    records = [dataclasses.replace(some, run=job.run, eval=job.eval) for job in jobs]
    (command,) = re.findall(r"^- cm\+cb \(cm\.w_div=1\.0\): `ltgen-bench (.*)`$", build(records)["digitslt"], re.M)
    got = cli(*shlex.split(command), "--runs", tmp_path, "--dry-run")
    assert re.findall(r"\((\w{12})\): starts", got.out) == [job.run.run_id for job in reversed(jobs)]


def test_a_page_has_no_command_for_what_it_would_not_give_again(
    make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = build([make_record("t2h", version=1), make_record("t2h", version=2)])["digitslt"]
    assert re.findall(r"^- (.*): `ltgen-bench", page, re.M) == ["t2h v2"]
    monkeypatch.setattr(versions, "PROTOCOL", PROTOCOL + 1)
    assert "ltgen-bench run" not in build([make_record("ddpm", protocol=PROTOCOL)])["digitslt"]


def test_only_enough_seeds_and_figures_that_rank_are_called_best(make_record: MakeRecord) -> None:
    two = [make_record("cm", 5.0, seed=seed) for seed in range(2)]
    three = [make_record("ddpm", 10.0 + seed, seed=seed) for seed in range(3)]
    assert "**" not in "".join(row(build(two)["digitslt"], "cm"))
    page = build(two + three)["digitslt"]
    assert row(page, "ddpm")[2] == "**11.00 ± 1.00**"
    assert row(page, "cm")[2] == "5.00 ± 0.00"
    unranked = [make_record("cb", 4.0, seed=seed, flag="n<d") for seed in range(3)]
    page = build(three + unranked)["digitslt"]
    assert row(page, "cb")[2] == "4.00 ± 0.00 ⚠"
    assert row(page, "ddpm")[2] == "**11.00 ± 1.00**"
    marked = [make_record("cb", 4.0, seed=seed, flag="n<4d") for seed in range(3)]
    assert row(build(three + marked)["digitslt"], "cb")[2] == "**4.00 ± 0.00 △**"


def test_memorised_images_are_marked_and_never_best(make_record: MakeRecord) -> None:
    copies = [make_record("cm", 5.0, seed=seed, memorised="minority", flag="n<4d") for seed in range(3)]
    honest = [make_record("ddpm", 10.0, seed=seed) for seed in range(3)]
    page = build(copies + honest)["digitslt"]
    overall, majority, minority = row(page, "cm")[2:5]
    assert (overall, majority, minority) == ("**5.00 ± 0.00 △**", "**4.00 ± 0.00 △**", "7.00 ± 0.00 △‡")
    assert row(page, "ddpm")[4] == "**12.00 ± 0.00**"
    assert "cm minority 0.90 against 0.30" in page
    assert "‡" not in build(honest)["digitslt"]
    text = score_text(copies[0])
    assert "minority       200  7.00 △‡  1.70 ‡     0.250 ‡        0.700 ‡" in text
    assert text.splitlines()[-1].endswith("Shares: cm minority 0.90 against 0.30.")


def test_classes_that_pull_the_distance_up_are_named(make_record: MakeRecord) -> None:
    record = make_record()
    assert pull_text(record) == ""
    pulls = {c: {"value": 5.0 - c, "within_group": float(c % 3), "class": f"digit {c}"} for c in range(10)}
    record.scores["class-pull-efflite0@96"] = {str(c): pull for c, pull in pulls.items()}  # type: ignore[index]
    assert pull_text(record).splitlines()[1:] == [
        "overall   digit 0 +5.00, digit 1 +4.00, digit 2 +3.00",
        "majority  digit 2 +2.00, digit 1 +1.00",
        "medium    digit 5 +2.00, digit 4 +1.00",
        "minority  digit 8 +2.00, digit 7 +1.00",
    ]


def test_every_figure_is_a_row_with_all_that_identifies_it(make_record: MakeRecord, sweep: list[Record]) -> None:
    record = make_record("cm+cbdm", 9.0, seed=3, params={"w_div": 1.0}, memorised="minority")
    frame = figures([record])
    assert len(frame) == sum(map(len, record.scores.values()))
    (fd,) = frame[(frame.metric == "FD-efflite0@96") & (frame.group == "minority")].to_dict("records")
    expected = {
        **{"dataset": "digitslt", "method": "cm+cbdm", "name": "cm+cbdm (cm.w_div=1.0)", "seed": 3, "value": 11.0},
        **{"run_id": record.run_id, "config_id": record.run.config_id, "eval_id": record.eval_id, "protocol": PROTOCOL},
        **{"train.steps": 800, "sample.omega": 1.5, "cm.w_div": 1.0, "cm.version": 1, "net.channels": "32,64"},
        **{"features": "efflite0@96", "reference_sha256": "c3" * 32, "groups.majority": "0,1,2"},
        "score_version": SCORE_VERSION,
        **{"n_real": 696, "n_gen": 200, "dataset.imbalance": 20.0, "dataset.split_sha256": "a1" * 32},
    }
    assert {name: fd[name] for name in expected} == expected
    assert frame[frame.metric == "memorised-efflite0@96"].unseen.tolist() == [0.3]
    everything = figures(sweep)
    table = everything[everything.metric == "FD-efflite0@96"].pivot_table("value", ["method", "train.steps"], "group")
    assert table.loc[("ddpm", 800), "overall"] == pytest.approx(statistics.fmean([12.0, 13.0, 14.5]))
    pd.testing.assert_frame_equal(figures(reversed(sweep)), everything)


def test_equally_good_rows_are_all_best(make_record: MakeRecord) -> None:
    records = [make_record(name, fd, seed=seed) for name, fd in (("cm", 5.0), ("cb", 6.0)) for seed in range(3)]
    page = build(records)["digitslt"]
    assert (row(page, "cm")[2][:2], row(page, "cb")[2][:2]) == ("**", "6.")
    assert (row(page, "cm")[5], row(page, "cb")[5]) == ("**0.250 ± 0.000**", "**0.250 ± 0.000**")


def test_a_missing_figure_is_a_dash_and_never_best(make_record: MakeRecord) -> None:
    whole = [make_record("ddpm", 10.0, seed=seed) for seed in range(3)]
    partial = [make_record("cm", 5.0, seed=seed) for seed in range(4)]
    del partial[2].scores["FD-efflite0@96"]["overall"]  # type: ignore[attr-defined]
    page = build(whole + partial)["digitslt"]
    assert row(page, "cm")[2] == "–"
    assert row(page, "cm")[3].startswith("**4.00")
    assert row(page, "ddpm")[2].startswith("**10.00")


def test_changed_hyper_parameters_and_old_versions_stand_apart(make_record: MakeRecord) -> None:
    records = [
        make_record("cm", 9.0, params={"w_div": 1.0}),
        make_record("ddpm", 12.0),
        make_record("t2h", 10.0, version=2),
        make_record("t2h", 8.0, version=1),
    ]
    page = build(records)["digitslt"]
    main, apart, against, claims, *_ = tables(page)
    assert [cells[0] for cells in main[1:]] == ["t2h v2", "ddpm"]
    assert [cells[0] for cells in apart[1:]] == ["t2h", "cm (cm.w_div=1.0)"]
    rows = ["t2h v2", "t2h", "cm (cm.w_div=1.0)"]
    assert [cells[0] for cells in against[1:]] == [cells[0] for cells in claims[1:]] == rows
    assert page.index("### Other hyper-parameters and earlier versions") < page.index("cm (cm.w_div=1.0)")


def test_differences_are_paired_by_seed(make_record: MakeRecord) -> None:
    # Seed 3 has no partner and counts for nothing.
    with_cm = [make_record("cm+cbdm", fd, seed=seed) for seed, fd in ((0, 8.0), (1, 9.0), (3, 99.0))]
    without = [make_record("cbdm", fd, seed=seed) for seed, fd in ((0, 10.0), (1, 12.0), (2, 50.0))]
    page = build(with_cm + without)["digitslt"]
    (added,) = [table for table in tables(page) if table[0][:2] == ["method", "against"]]
    interval = "-2.50 [-8.85, +3.85]"  # 12.706 x 0.7071 / sqrt(2) on both sides
    cells = [f"{interval}, -19 %, 2/2", f"{interval}, -25 %, 2/2", f"{interval}, -23 %, 2/2"]
    same = "+0.000 [+0.000, +0.000], 0/2"  # of recall and label accuracy
    assert added[1:] == [["cm+cbdm", "cbdm", *cells, same, same]]  # cm alone has no row here


def test_notes_explain_the_marks(sweep: list[Record]) -> None:
    page = build(sweep)["digitslt"]
    for note in (
        "⚠ fewer images than feature dimensions: too biased to rank.",
        "‡ memorised: the share of images that are nearer to a training image than that one's own nearest training "
        "neighbour is exceeds the share of real images that were not trained on by a tenth and by three standard "
        "errors. Copies win every score, so these are not ranked. Shares: resample minority 0.90 against 0.30.",
        "† made with uncommitted changes to the suite.",
        "`cm`: diversity term capped at D = 1.",
        "Safeguards that acted while training: cm/guard in cm on 3, 3, 3, 3 of 800 steps.",
    ):
        assert f"\n- {note}\n" in page


def test_real_images_anchor_the_table(make_record: MakeRecord) -> None:
    records = [make_record("ddpm", 9.0, seed=seed) for seed in range(2)]
    assert "*real images*" not in build(records)["digitslt"]
    for record, floor in zip(records, (2.0, 3.0), strict=True):
        record.scores["FD-efflite0@96"]["minority"]["floor"] = floor  # type: ignore[index]
    (header, *_, real), *_ = first_tables(build(records)["digitslt"])
    assert dict(zip(header, real, strict=True)) == dict.fromkeys(header, "–") | {
        "method": "*real images*",
        "FD minority ↓": "2.50",
    }


def test_remarks_of_the_scorer_stand_beside_the_scores(make_record: MakeRecord) -> None:
    odd = [make_record("cb", 9.0, seed=seed) for seed in range(2)]
    for record in odd:
        record.scores["accuracy-efflite0@96"] = {"overall": {"value": 0.1, "ceiling": 0.95, "flag": "labels?"}}  # type: ignore[index]
    words = "a classifier of real images takes 0.10 of these for what they are labelled"
    assert words in score_text(odd[0])
    also = make_record("ddpm", 20.0)
    also.scores["accuracy-efflite0@96"] = odd[0].scores["accuracy-efflite0@96"]  # type: ignore[index]
    records = [*odd, also, make_record("cm", 9.0)]
    (said,) = re.findall(rf"^- (\w+: {words}.*)$", build(records)["digitslt"], re.M)
    assert said.startswith("cb: ")
    assert said.endswith(". The same of ddpm.")
    assert said in table_text(records, {also.run_id})


@pytest.mark.parametrize("method", ["ddpm", "cm+cbdm+noise-resampling+resample"])
def test_scores_fit_a_narrow_terminal(make_record: MakeRecord, method: str) -> None:
    text = score_text(make_record(method, 123.456, features="inception", flag="n<d", sample={"images": 50_000}))
    title, header, *_, note = text.splitlines()
    assert title.startswith(f"digitslt {method} seed 0 (")
    assert header.split() == ["group", "images", "FID", "↓", "IS", "↑", "recall", "↑", "precision", "↑"]
    assert "overall     50,000  123.46 ⚠    3.23       0.500          0.750" in text
    assert note.startswith("⚠ fewer images")
    assert max(map(len, text.splitlines()[1:])) <= 80


def test_a_grid_is_a_table_in_the_terminal_that_fits(sweep: list[Record]) -> None:
    ours = [r for r in sweep if r.run.method == "cm+cbdm"]
    text = table_text(sweep, {ours[0].run_id})
    heading, header, _, *lines = text.splitlines()
    assert heading == "FD-efflite0@96 ↓, 8x8, imbalance 20, 800 steps x 32, 500 images, omega 1.5, efflite0@96"
    assert header.split() == ["method", "seeds", "overall", "majority", "minority"]
    cells = {line.split("  ")[0]: re.split(r"\s{2,}", line)[1:] for line in lines}
    assert cells["cm+cbdm"] == ["2 of 3", "7.75 ± 1.06", "6.75 ± 1.06", "9.75 ± 1.06"]
    assert cells["resample"] == ["3", "6.00 ± 0.00 *", "5.00 ± 0.00 *", "8.00 ± 0.00 ‡"]
    assert cells["cm"][3] == "11.43 ± 0.43 *"
    best = "* best of the rows with at least 3 seeds, and all not resolved from it and within 2 standard deviations"
    assert f"{best} (the median row's) of it" in " ".join(text.split())
    assert max(len(line) for line in lines if not line.startswith("‡")) <= 80
    assert "FID" not in text  # the other tables of the page hold no run of this grid


def test_the_main_score_of_a_run_is_its_first(make_record: MakeRecord) -> None:
    first = make_record("cm", 9.0, flag="n<4d")
    second = make_record("cm", 5.0, sample={"omega": 0.0})
    second = dataclasses.replace(second, provenance={"finished": "2026-01-02T00:00:00Z"})
    assert main_score([second, first]) == "FD-efflite0@96 9.00 △, 1 more scored"
    assert main_score([]) == ""
