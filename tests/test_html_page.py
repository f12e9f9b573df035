"""The page of `--format html` in a real browser: it sorts and filters, and loads nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from drawn_records import records_of

from ltgen_bench.leaderboard.exports.formats import export
from ltgen_bench.runs.record import Record

MakeRecord = Callable[..., Record]
pytestmark = pytest.mark.xdist_group("browser")  # which is started once
HOSTILE = "<script>document.title='broken'</script>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install '.[browser]'")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("there is no Chromium with chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for switch in ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-background-networking"):
        options.add_argument(f"--{switch}")
    for switch in ("disable-component-update", "disable-sync", f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(f"--{switch}")
    started = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture
def page(browser: Any, make_record: MakeRecord, tmp_path: Path) -> Any:
    records = [*records_of(make_record), make_record(HOSTILE, 30.0), make_record("ddpm", 5.0, data={"name": "other"})]
    partial = make_record("cb", 40.0)
    del partial.scores["recall-efflite0@96"]["minority"]  # type: ignore[attr-defined]
    (tmp_path / "page.html").write_text(export("html", [*records, partial]), encoding="utf-8")
    browser.get((tmp_path / "page.html").as_uri())
    return browser


def names(page: Any, section: int = 0) -> list[str]:
    """Of the rows that are shown, in their order."""
    script = """const section = document.querySelectorAll("section")[arguments[0]];
    return Array.from(section.querySelectorAll("tbody tr")).filter(row => row.offsetParent !== null)
      .map(row => row.cells[0].textContent);"""
    return list(page.execute_script(script, section))


def values(page: Any, column: int) -> list[str]:
    script = (
        """return Array.from(document.querySelector("tbody").rows).map(row => row.cells[arguments[0]].dataset.value)"""
    )
    return list(page.execute_script(script, column))


def heading(page: Any, text: str) -> tuple[Any, int]:
    """A heading of the first table, and its column."""
    found = page.find_elements("css selector", "section:first-of-type thead th")
    place = next(i for i, each in enumerate(found) if text in each.get_attribute("textContent"))
    return found[place], place


def test_a_press_on_a_heading_sorts_and_another_turns_it_round(page: Any) -> None:
    head, column = heading(page, "FD overall")
    assert head.get_attribute("aria-sort") == "none"
    head.find_element("tag name", "button").click()
    ascending = [float(value) for value in values(page, column)]
    assert (ascending, head.get_attribute("aria-sort")) == (sorted(ascending), "ascending")
    head.find_element("tag name", "button").send_keys("\n")  # from the keyboard
    descending = [float(value) for value in values(page, column)]
    assert (descending, head.get_attribute("aria-sort")) == (ascending[::-1], "descending")
    first, _ = heading(page, "method")
    first.find_element("tag name", "button").click()
    assert names(page) == sorted(names(page), key=str.lower)
    assert head.get_attribute("aria-sort") == "none"


def test_rows_without_a_figure_are_last_whichever_way(page: Any) -> None:
    head, _ = heading(page, "recall minority")
    for _ in range(2):
        head.find_element("tag name", "button").click()
        assert names(page)[-1] == "cb"


def test_the_filter_shows_the_rows_whose_names_hold_a_word(page: Any) -> None:
    everything = names(page)
    count = page.find_element("id", "count")
    assert count.text.split(" of ")[0] + " rows" == count.text.split(" of ")[1]
    box = page.find_element("id", "filter")
    box.send_keys("CBDM, cb")
    assert names(page) == [name for name in everything if "cb" in name]
    box.clear()
    box.send_keys("nothing of that name")
    assert count.text.startswith("0 of ")
    assert not any(section.is_displayed() for section in page.find_elements("tag name", "section"))
    box.clear()
    box.send_keys(" ")
    assert names(page) == everything


def test_a_page_can_be_chosen(page: Any) -> None:
    page.execute_script("""const page = document.getElementById("page"); page.value = "other";
    page.dispatchEvent(new Event("change"));""")
    shown = [s for s in page.find_elements("tag name", "section") if s.is_displayed()]
    assert [section.get_attribute("data-page") for section in shown] == ["other"]


def test_all_scores_and_each_seed_are_a_press_away(page: Any) -> None:
    more, seed = page.find_element("css selector", "td.more"), page.find_element("css selector", "td .seeds")
    assert (more.is_displayed(), seed.is_displayed()) == (False, False)
    page.find_element("id", "more").click()
    page.find_element("id", "seeds").click()
    assert (more.is_displayed(), seed.is_displayed()) == (True, True)
    assert seed.text.startswith("0: ")


def test_what_is_not_asked_for_fits_a_laptop(page: Any) -> None:
    page.set_window_size(1280, 900)
    page.find_element("id", "filter").send_keys("cm, ddpm")  # not the name that is a script
    script = """return Array.from(document.querySelectorAll(".scroll")).map(box => box.scrollWidth - box.clientWidth)"""
    assert set(page.execute_script(script)) == {0}


def test_nothing_is_loaded_and_no_name_becomes_a_script(page: Any) -> None:
    assert HOSTILE in names(page)
    assert page.title == "Leaderboards"
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert page.get_log("browser") == []


def test_the_page_follows_a_dark_scheme(page: Any) -> None:
    colours = []
    for scheme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        colours.append(page.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(255, 255, 255)", "rgb(13, 17, 23)"]
