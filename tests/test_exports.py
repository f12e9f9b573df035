"""Leaderboards as CSV, JSON, LaTeX and HTML: complete, and whatever methods are called."""

from __future__ import annotations

import html.parser
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from drawn_records import publish_all, records_of

from ltgen_bench.leaderboard.exports.formats import export
from ltgen_bench.leaderboard.exports.latex import escaped
from ltgen_bench.leaderboard.frame import figures
from ltgen_bench.runs.record import Record

MakeRecord = Callable[..., Record]
Cli = Callable[..., Any]
HOSTILE = "<script>alert('1')</script>\"&amp;$x_1^2${\\evil}~#%"


def hostile(make_record: MakeRecord) -> list[Record]:
    return [
        *records_of(make_record),
        *(make_record(HOSTILE, 5.0, seed=seed, memorised="minority", flag="n<4d") for seed in range(3)),
    ]


def test_csv_and_json_hold_every_figure_of_every_seed(make_record: MakeRecord) -> None:
    records = hostile(make_record)
    table = figures(records)

    def assert_equal(other: pd.DataFrame) -> None:
        mine, its = (each.astype(object).where(each.notna(), None) for each in (table, other))
        pd.testing.assert_frame_equal(its, mine, check_exact=True)

    assert_equal(pd.read_csv(io.StringIO(export("csv", records)), low_memory=False, float_precision="round_trip"))
    results = json.loads(export("json", records))
    assert len(results) == len(records)
    rows = [
        {
            **{name: value for name, value in result.items() if name != "scores"},
            "metric": metric,
            "group": group,
            **found,
        }
        for result in results
        for metric, groups in result["scores"].items()
        for group, found in groups.items()
    ]
    assert_equal(pd.DataFrame(rows)[table.columns])


def test_latex_has_no_character_that_it_would_take_for_its_own() -> None:
    assert escaped("a_b & 5 % of {x} #1 $ ~ ^ \\") == (
        r"a\_b \& 5 \% of \{x\} \#1 \$ \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert escaped("é ± ↓ ⚠ △ ‡\n漢") == r"é $\pm$ $\downarrow$ \textbf{!} $\triangle$ $\ddagger$?"


def test_latex_tables_are_balanced(make_record: MakeRecord) -> None:
    text = export("latex", hostile(make_record))
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") > 2
    for table in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, re.S):
        layout, body = table
        rules = [line for line in body.split() if line in (r"\toprule", r"\midrule", r"\bottomrule")]
        assert rules == [r"\toprule", r"\midrule", r"\bottomrule"]
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {len(layout)}
    without = re.sub(r"\\[\\{}$]", "", text)
    assert (without.count("{"), without.count("$") % 2) == (without.count("}"), 0)


def test_latex_compiles(make_record: MakeRecord, tmp_path: Path) -> None:
    engine = shutil.which("tectonic") or shutil.which("pdflatex")
    if engine is None:
        pytest.skip("there is no tectonic and no pdflatex")
    document = [r"\documentclass{article}", r"\usepackage{booktabs,graphicx}", r"\begin{document}"]
    text = "\n".join([*document, export("latex", hostile(make_record)), r"\end{document}"])
    (tmp_path / "paper.tex").write_text(text, encoding="utf-8")
    halt = ["-interaction=nonstopmode", "-halt-on-error"] if engine.endswith("pdflatex") else ["--only-cached"]
    made = subprocess.run([engine, *halt, "paper.tex"], cwd=tmp_path, capture_output=True, text=True)
    if "--only-cached" in halt and made.returncode != 0 and "cache" in made.stderr:
        pytest.skip("tectonic has not downloaded its packages")
    assert made.returncode == 0, made.stdout[-2000:]
    assert "Overfull" not in made.stdout + made.stderr
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000


class Reader(html.parser.HTMLParser):
    """Tags that are open, what they were, and text by the tag it is in."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append((self.open[-1] if self.open else "", data))


def test_html_is_one_page_with_nothing_from_elsewhere(make_record: MakeRecord) -> None:
    reader = Reader()
    reader.feed(export("html", hostile(make_record)))
    assert reader.open == []
    tags = [tag for tag, _ in reader.tags]
    assert tags.count("script") == 1
    assert not {"link", "img", "iframe", "object"} & set(tags)
    assert not any(
        name in ("src", "href") or name.startswith("on") for _, attributes in reader.tags for name in attributes
    )
    assert ("th", HOSTILE) in reader.text
    assert any(attributes.get("data-value") == HOSTILE for _, attributes in reader.tags)
    (policy,) = [a["content"] for _, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_html_says_what_decides_first_and_notes_are_of_what_is_shown(make_record: MakeRecord) -> None:
    records = records_of(make_record)
    page = export("html", records)
    heads = re.findall(r'class=""><button type="button">([^<]*)', page.partition("</thead>")[0])
    assert heads[:3] == ["method", "helps", "seeds"]
    assert heads[5:7] == ["FD minority ↓", "FD minority less ddpm"]
    assert heads[-1] == "memorised"
    assert '">-2.97 [-3.11, -2.82]' in page.replace("<strong>", "")  # cm less ddpm
    assert "△" not in page
    hidden = make_record("cb", 9.0)
    hidden.scores["precision-efflite0@96"]["minority"]["flag"] = "n<4d"  # type: ignore[index]
    assert re.findall(r"<li([^>]*)>△ ", export("html", [*records, hidden])) == [' class="more"']
    assert re.findall(r"<li([^>]*)>△ ", export("html", [*records, make_record("cb", flag="n<4d")])) == [""]


def test_formats_are_printed_or_written_and_leave_pages_alone(
    make_record: MakeRecord, cli: Cli, tmp_path: Path
) -> None:
    records = [make_record("cm", 9.0), make_record("ddpm", 12.0)]
    boards = publish_all(records, tmp_path, cli)
    printed = cli("leaderboard", "--folder", boards, "--format", "json")
    assert (printed.code, len(json.loads(printed.out))) == (0, 2)
    file = tmp_path / "new" / "page.html"
    written = cli("leaderboard", "--folder", boards, "--format", "html", "--output", file)
    assert (written.code, written.out) == (0, f"wrote {file}\n")
    assert file.read_text(encoding="utf-8") == export("html", records)
    assert not list(boards.glob("*.md"))
    (boards / "results" / "damaged.json").write_text("{}")
    printed = cli("leaderboard", "--folder", boards, "--format", "csv")
    assert (printed.code, len(pd.read_csv(io.StringIO(printed.out)))) == (1, len(figures(records)))
    assert printed.err.startswith("left out: ")


@pytest.mark.parametrize("name", ["csv", "json", "latex", "html"])
def test_nothing_is_written_of_no_results(cli: Cli, tmp_path: Path, name: str) -> None:
    file = tmp_path / "page"
    got = cli("leaderboard", "--folder", tmp_path, "--format", name, "--output", file)
    assert (got.code, got.err) == (2, f"error: no results in {tmp_path / 'results'}: nothing to give as {name}\n")
    assert not file.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "htlm"], "unknown format 'htlm' in --format. Did you mean 'html'? Known: csv, html, json, latex"),
        (["--output", "a.csv"], "--output a.csv: say in which format, with --format csv, json, latex, html"),
        (["--format", "csv", "--csv", "a.csv"], "--csv comes with the pages, which --format does not make: "),
        (["--format", "csv", "--check"], "--check is of the published pages: leave out --format"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    got = cli("leaderboard", *options)
    assert (got.code, got.out, got.err.count("\n")) == (2, "", 1)
    assert got.err.startswith(f"error: {message}")
    assert not list(tmp_path.iterdir())


def test_unpublished_results_are_exported_with_runs(make_record: MakeRecord, cli: Cli, tmp_path: Path) -> None:
    boards = publish_all([make_record("ddpm", 12.0)], tmp_path, cli)
    publish_all([make_record("cm", 9.0)], tmp_path / "more", cli)
    got = cli("leaderboard", "--folder", boards, "--runs", tmp_path / "more" / "runs", "--format", "latex")
    assert (got.code, r"cm $\diamond$ & 1" in got.out) == (0, True)
