"""The page of claims: which probes may stand together, and what a handful of seeds says."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ltgen_bench.errors import UsageError
from ltgen_bench.leaderboard.pages.index import BEGIN, END
from ltgen_bench.probes import claims, claims_page, claims_records, distances, theory_page
from ltgen_bench.probes.pictures import of_run
from ltgen_bench.probes.pictures.of_claims import dots
from ltgen_bench.probes.probe_file import ProbeFile
from ltgen_bench.probes.specs import DominanceSpec, DrawSpec, ProbeSpec, PruningSpec
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.specs import RunSpec

Make = Callable[..., ProbeFile]
NAMES = tuple("0123456789")


def figures(values: Mapping[str, float]) -> dict[str, dict[str, float | int]]:
    return {scope: {"value": value, "se": 0.01, "n": 10} for scope, value in values.items()}


@pytest.fixture
def pruned(make_record: Callable[..., Record]) -> Make:
    def make(
        majority: float, minority: float, method: str = "ddpm", seed: int = 0, spec: ProbeSpec | None = None, **run: Any
    ) -> ProbeFile:
        """Changes of the loss, as shares, of a network pruned by 10 %."""
        made = make_record(method, seed=seed, **run).run
        assert isinstance(made, RunSpec)
        change = {"10%": figures({"overall": 0.1, "majority": majority, "medium": 0.1, "minority": minority})}
        parts = {
            part: {"loss": figures({"overall": 0.2, "majority": 0.1, "minority": 0.3}), "change": change}
            for part in ("training", "held-out")
        }
        return ProbeFile(
            made, spec or PruningSpec(), NAMES, {"losses": parts, "weights": 10, "removed": {"10%": 1}}, {}
        )

    return make


def written(probe: ProbeFile, folder: Path) -> Path:
    run = folder / probe.run.run_id
    run.mkdir(parents=True, exist_ok=True)
    probe.write(run / f"probe-{probe.spec.kind}-{probe.spec.id}.json")
    return run


def test_only_likes_stand_in_one_table(pruned: Make) -> None:
    two = {"w_con": 0.0, "w_div": 0.0}
    same = [
        pruned(0.1, 0.2),
        pruned(0.1, 0.2, seed=1),
        pruned(0.1, 0.2, "cm", params=two),
        pruned(0.1, 0.2, train={"steps": 99}),
    ]
    unlike = [
        pruned(0.1, 0.2, train={"batch": 8}),
        pruned(0.1, 0.2, data={"imbalance": 10.0}),
        pruned(0.1, 0.2, spec=PruningSpec(per="network")),
        pruned(0.1, 0.2, spec=PruningSpec(loss=DrawSpec(seed=1))),
    ]
    found = claims.sections([*same, *unlike], "pruning")
    assert sorted(len(section.probes) for section in found) == [1, 1, 1, 1, 4]
    (largest,) = (section for section in found if len(section.probes) == 4)
    rows = largest.rows(claims.change_of("training", "10%"))
    assert [(row.name, row.seeds) for row in rows] == [
        ("ddpm, 99 steps", [0]), ("ddpm, 800 steps", [0, 1]), ("cm (cm.w_con=0.0, cm.w_div=0.0), 800 steps", [0])
    ]  # fmt: skip
    assert largest.title == "digitslt, ratio 20, 8x8, network 32-64, 99 and 800 steps of 32"


def test_the_gap_is_taken_seed_by_seed(pruned: Make) -> None:
    probes = [pruned(0.10, 0.13, seed=0), pruned(0.30, 0.34, seed=1), pruned(0.20, 0.25, seed=2)]
    (section,) = claims.sections(probes, "pruning")
    (row,) = section.rows(claims.change_of("held-out", "10%"))
    assert row.groups["majority"] == pytest.approx({0: 10, 1: 30, 2: 20})
    # 3, 4 and 5: mean 4, standard deviation 1, t quantile 4.3027 with 2 degrees of freedom.
    assert claims.difference(row.gap) == "+4.00 [+1.52, +6.48]"
    assert claims.reading(row.gap, "minority more", "majority more") == "minority more"
    assert claims.mean(row.groups["majority"]) == "20.00 ± 24.84"
    # The same without seeds that are paired: 10 to 30 hides a difference of 4.
    (two,) = claims.sections(probes[:2], "pruning")
    (row,) = two.rows(claims.change_of("held-out", "10%"))
    assert claims.reading(row.gap, "minority more", "majority more") == "not resolved (2 of at least 3 seeds)"
    (mixed,) = claims.sections([*probes[:2], pruned(0.25, 0.2, seed=3)], "pruning")
    (row,) = mixed.rows(claims.change_of("held-out", "10%"))
    assert claims.reading(row.gap, "minority more", "majority more") == "not resolved"


def test_equal_rises_of_unequal_losses_are_shown_as_that(pruned: Make) -> None:
    (section,) = claims.sections([pruned(0.30, 0.10, seed=seed) for seed in range(3)], "pruning")
    (share,) = section.rows(claims.change_of("training", "10%"))
    (rise,) = section.rows(claims.rise_of("training", "10%"))
    assert claims.reading(share.gap, "minority more", "majority more") == "majority more"
    assert rise.groups["majority"] == pytest.approx({0: 30, 1: 30, 2: 30})  # thousandths: 0.3 of a loss of 0.1
    assert rise.groups["minority"] == pytest.approx({0: 30, 1: 30, 2: 30})


def test_random_reserves_count_as_one(pruned: Make) -> None:
    probe = pruned(0.1, 0.2)
    losses = probe.result["losses"]
    for part in losses.values():
        part["change"] = {f"random {k}": figures({"majority": 0.1 * k, "minority": 0.2}) for k in (1, 2, 3)}
    (section,) = claims.sections([probe], "pruning")
    assert claims.variants_of(section) == ["random"]
    (row,) = section.rows(claims.change_of("training", "random"))
    assert row.groups["majority"] == pytest.approx({0: 20})


def test_a_page_is_made_of_what_was_taken_and_of_words_of_its_own(pruned: Make, tmp_path: Path) -> None:
    page = tmp_path / "claims"
    probes = [
        pruned(0.10 + 0.01 * seed + shift, 0.13 + 0.02 * seed + 2 * shift, method, seed, params=params)
        for method, shift, params in (("ddpm", 0.02, {}), ("cm", 0, {"w_con": 0.0, "w_div": 0.0}))
        for seed in range(3)
    ]
    runs = [written(probe, tmp_path / "runs") for probe in probes]
    assert len(claims_records.take(page, runs)) == 6
    assert claims_records.take(page, runs) == []
    page.joinpath("reading-pruning.md").write_text("Nothing is lost by the minority alone.\n")
    made, picture = claims_page.pages(page)
    assert made.path.name == "README.md"
    assert re.fullmatch(r"pruning-digitslt-[0-9a-f]{6}\.png", picture.path.name)
    for file in (made, picture):
        assert not file.current
        file.write()
    assert all(file.current for file in claims_page.pages(page))
    text = made.path.read_text()
    assert "Nothing is lost by the minority alone." in text
    pruning, reserve = (text.index(f"\n## {title}") for title in ("Majority classes take", "The reserve holds"))
    assert "Nothing was measured yet." not in text[pruning:reserve]
    assert "Nothing was measured yet." in text[reserve:]
    lines = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.startswith("| ")]
    assert ["", "ddpm, 10%", "3", "13.00 ± 2.48", "10.00 ± 0.00", "19.00 ± 4.97", "+6.00 [+3.52, +8.48]"] in [
        line[:7] for line in lines
    ]
    assert [line[1:5] for line in lines if "minority less" in line] == [
        ["cm (cm.w_con=0.0, cm.w_div=0.0), 10%, training", "3", "-2.00 [-2.00, -2.00]", "minority less"],
        ["cm (cm.w_con=0.0, cm.w_div=0.0), 10%, held-out", "3", "-2.00 [-2.00, -2.00]", "minority less"],
    ]


def test_leaderboard_makes_and_checks_the_page_of_claims(cli: Callable[..., Any], pruned: Make, tmp_path: Path) -> None:
    boards = tmp_path / "leaderboards"
    page = boards / claims_records.FOLDER
    claims_records.take(page, [written(pruned(0.1, 0.2, seed=seed), tmp_path / "runs") for seed in range(3)])
    boards.joinpath("README.md").write_text(f"# Ours\n\n{BEGIN}\n{END}\n")
    assert cli("leaderboard", "--check", "--folder", boards).code == 1
    assert cli("leaderboard", "--folder", boards).code == 0
    assert "[Where capacity goes: the papers' claims, checked](claims/README.md)" in (boards / "README.md").read_text()
    got = cli("leaderboard", "--check", "--folder", boards)
    assert got.code == 0
    assert f"{page / 'README.md'} is up to date" in got.out
    (picture,) = page.glob("*.png")
    old = picture.rename(page / "pruning-digitslt-000000.png")
    page.joinpath("reading-pruning.md").write_text("The majority loses more.\n")
    got = cli("leaderboard", "--check", "--folder", boards)
    assert got.code == 1
    for said in (
        f"{page / 'README.md'} is not what its probes give; run ltgen-bench leaderboard",
        f"{picture} is not what its probes give; run ltgen-bench leaderboard",
        f"{old} belongs to no page; run ltgen-bench leaderboard",
    ):
        assert said in got.out
    assert cli("leaderboard", "--folder", boards).code == 0
    assert list(page.glob("*.png")) == [picture]
    assert "The majority loses more." in page.joinpath("README.md").read_text()


def test_what_an_earlier_version_found_is_left_out_and_named(
    cli: Callable[..., Any], pruned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, old = tmp_path / "claims", PruningSpec(version=0)
    for seed in (0, 1):
        kept = written(pruned(0.1, 0.2, seed=seed, spec=old), tmp_path / "runs")
        with pytest.raises(UsageError, match="was not probed yet"):
            claims_records.take(page, [kept])
        folder = claims_records.records(page) / "digitslt"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(kept / f"probe-pruning-{old.id}.json", folder / f"probe-pruning-{old.id}-{kept.name}.json")
    claims_records.take(page, [written(pruned(0.3, 0.4), tmp_path / "runs")])
    (current,) = claims_records.taken(page)
    assert current.spec == PruningSpec()
    (left_out,) = claims_records.outdated(page)
    assert left_out.run.seed == 1
    again = left_out.run.run_id
    said = (
        "left out: pruning of digitslt ddpm seed 1, 800 steps, found by version 0; "
        f"ltgen-bench probe pruning {again} finds it anew, and probe page {again} takes it\n"
    )
    monkeypatch.setattr(theory_page, "write_page", lambda *_: [])
    for command in ("theory", "page"):
        assert said in cli("probe", command, "--page", page).out


def test_what_was_measured_of_gradients_is_read_as_the_theory_has_it(make_record: Callable[..., Record]) -> None:
    run = make_record().run
    assert isinstance(run, RunSpec)
    fields = {f.name: 1.0 for f in dataclasses.fields(theory_page.Assessment)}
    probes = [ProbeFile(run, DominanceSpec(), NAMES, {"theory": theory}, {}) for theory in (fields, {"why": "few"})]
    ((what, found),) = theory_page.measured_of(probes)
    assert what == "digitslt ddpm seed 0, 800 steps"
    assert found == theory_page.Assessment(**fields)


def test_runs_that_were_not_probed_are_refused(cli: Callable[..., Any], tmp_path: Path, pruned: Make) -> None:
    run = written(pruned(0.1, 0.2), tmp_path)
    (probe,) = run.glob("probe-*.json")
    (run / "spec.json").write_text("{}")
    damaged = probe.read_text().replace('"seed": 0', '"seed": 1')
    probe.unlink()
    got = cli("probe", "page", run, "--page", tmp_path / "claims")
    assert got.code == 2
    assert f"run {run.name} was not probed yet: ltgen-bench probe pruning {run.name}" in got.err
    probe.write_text(damaged)
    got = cli("probe", "page", run, "--page", tmp_path / "claims")
    assert (got.code, got.err) == (2, f"error: {probe}: its ids do not follow from its contents\n")


def test_the_page_of_the_theorems_is_of_what_is_kept_beside_it() -> None:
    folder = Path(__file__).parents[1] / "leaderboards" / "claims"
    assert claims_records.outdated(folder) == []
    probes = claims_records.taken(folder)
    tables = theory_page.measured_tables(theory_page.measured_of(probes))
    page, reading = ((folder / name).read_text() for name in ("theory.md", "reading-theory.md"))
    assert f"\n\n{reading.strip()}\n\n{tables}\n" in page
    opposed = [
        f"{probe.result['scopes']['majority']['opposed_same_sign']:.3f}"
        for probe in probes
        if probe.spec.kind == "dominance"
    ]
    figures = set(re.findall(r"\d\.\d{3}", reading))
    assert len(figures) > 15
    assert figures - set(opposed) <= set(re.findall(r"\d\.\d{3}", tables))


def test_several_random_reserves_have_one_column_of_distances_and_copies_a_mark(
    pruned: Make, make_record: Callable[..., Record]
) -> None:
    def scores(value: float, **more: Any) -> dict[str, dict[str, dict[str, Any]]]:
        copies = {"memorised": {"overall": {"value": 0.5, "flag": "memorised"}}} if value == 4 else {}
        return {"FD-efflite0@32": {"overall": {"value": value, **more}}, **copies}

    evaluation = dataclasses.replace(make_record().eval, features="efflite0@32")
    probe = pruned(0.1, 0.2, spec=PruningSpec(eval=evaluation))
    networks = {"trained": scores(3, se=0.25), "without": scores(4), "random 1": scores(5), "random 2": scores(7)}
    networks["random 2"]["FD-efflite0@32"]["overall"]["flag"] = "n<4d"
    probe = dataclasses.replace(probe, result={**probe.result, "scores": networks})
    assert {name: of["overall"] for name, of in distances.table(probe, "FD").items()} == {
        "trained": "3.00 ± 0.25", "without": "4.00 ‡", "random": "6.00 ± 1.41 △"
    }  # fmt: skip
    assert distances.flags(probe, "FD") == {"memorised", "n<4d"}
    assert [note[0] for note in distances.notes({"memorised", "n<4d"})] == ["△", "‡"]


def test_the_legend_of_a_picture_covers_nothing(pruned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"overall": 0.1, "majority": 0.1, "medium": 0.1, "minority": 0.2, **dict.fromkeys(NAMES, 0.1)}
    variants = ["without", "25%", "50%", "75%", "random 1", "random 2"]
    probe = pruned(0.1, 0.2)
    for part in probe.result["losses"].values():
        part["change"] = {name: figures(values) for name in variants}
    scope = dict.fromkeys(("to_update", "to_majority", "to_minority", "same_sign", "opposed_same_sign"), 0.5)
    gradients = dataclasses.replace(
        probe, spec=DominanceSpec(), result={"scopes": {name: {**scope, "to_update_se": 0.1} for name in values}}
    )
    drawing, drawn = of_run.drawing, []

    @contextlib.contextmanager
    def kept(*words: Any) -> Iterator[Any]:
        with drawing(*words) as figure:
            yield figure
        drawn.append(figure)

    monkeypatch.setattr(of_run, "drawing", kept)
    for found, legends in ((probe, [["without", "25%", "50%", "75%", "random"]]), (gradients, [
        ["update", "majority", "minority"], ["all", "opposed ones"]
    ])):  # fmt: skip
        of_run.save(found, tmp_path / "picture.png")
        figure = drawn.pop()
        assert [[text.get_text() for text in legend.get_texts()] for legend in figure.legends] == legends
        boxes = [legend.get_window_extent() for legend in figure.legends]
        panels = [axes.get_tightbbox() for axes in figure.axes]  # with titles and labels
        assert not any(box.overlaps(other) for box in boxes for other in [*panels, *(b for b in boxes if b is not box)])
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes)


def test_a_figure_far_off_leaves_the_others_legible() -> None:
    near = [claims.Row(f"method {i}", "", {"majority": {0: 0.5 + 0.1 * i}, "minority": {0: -0.4}}) for i in range(4)]
    far = claims.Row("other", "", {"majority": {0: 0.9}, "minority": {0: 2675.0}})
    for rows, scale in ((near, "linear"), ([*near, far], "symlog")):
        picture = dots("name", "title", {"loss": rows}, "change, %")
        (axes,) = picture.draw(picture.shown).axes
        assert axes.get_xscale() == scale
        assert [text.get_text() for text in axes.texts] == ["logarithmic beyond 2.2"] * (scale == "symlog")
