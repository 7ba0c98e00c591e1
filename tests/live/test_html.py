"""The HTML report in a real browser: no error, no request, and everything on it works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from hullcheck.catalogue import all_controls
from hullcheck.cli import main
from hullcheck.report.formats import write
from hullcheck.report.source import Source
from tests.unit.hostile import hostile_run

pytestmark = pytest.mark.live

RECORDINGS = Path(__file__).parents[1] / "recordings"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        yield made
    finally:
        made.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("html")
    specs = [f"recording://{RECORDINGS / name}.jsonl.gz" for name in ("typical", "sound", "rotten")]
    main(["audit", *specs, "--report", "html", "--report-dir", str(place / "run")])
    return place / "run" / "report.html"


VISIBLE = """return [...document.querySelectorAll('details.control')]
    .filter(each => each.checkVisibility()).map(each => each.id)"""


def visible(browser: webdriver.Chrome) -> list[str]:
    found: list[str] = browser.execute_script(VISIBLE)
    return found


def count(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.ID, "count").text


def test_it_opens_from_disk_without_an_error_and_asks_for_nothing(
    browser: webdriver.Chrome, page: Path
) -> None:
    browser.get(page.as_uri())
    assert [each["message"] for each in browser.get_log("browser")] == []
    asked = [each["message"] for each in browser.get_log("performance")]
    assert not any('"http' in each and "requestWillBeSent" in each for each in asked)


def test_search_and_filters(browser: webdriver.Chrome, page: Path) -> None:
    browser.get(page.as_uri())
    before = count(browser)
    shown = visible(browser)
    assert before.startswith(f"{len(shown)} of ")
    browser.find_element(By.ID, "search").send_keys("runtime.engine-socket rotten")
    assert visible(browser) == ["runtime.engine-socket"]
    browser.find_element(By.ID, "search").send_keys(" nothing-like-it")
    assert count(browser).startswith("0 of ")
    browser.get(page.as_uri())
    Select(browser.find_element(By.ID, "severity")).select_by_visible_text("critical")
    assert {all_controls()[each].severity for each in visible(browser)} == {"critical"}
    Select(browser.find_element(By.ID, "area")).select_by_visible_text("host")
    assert {each.split(".")[0] for each in visible(browser)} == {"host"}
    for value in ("fail", "error", "unknown", "manual", "waived"):
        browser.find_element(By.CSS_SELECTOR, f"[value={value}]").click()
    assert visible(browser) == []
    browser.find_element(By.CSS_SELECTOR, "[value=pass]").click()
    assert visible(browser)


def test_a_verdict_opens_to_its_evidence(browser: webdriver.Chrome, page: Path) -> None:
    browser.get(f"{page.as_uri()}#host.kptr-restrict")
    control = browser.find_element(By.ID, "host.kptr-restrict")
    assert control.get_attribute("open") == "true"
    control.find_element(By.CLASS_NAME, "more").click()
    WebDriverWait(browser, 10).until(
        lambda _: len(control.find_elements(By.CLASS_NAME, "verdict")) == 3
    )
    first = next(
        each for each in control.find_elements(By.CLASS_NAME, "verdict") if "rotten" in each.text
    )
    first.find_element(By.TAG_NAME, "summary").click()
    WebDriverWait(browser, 10).until(lambda _: first.find_elements(By.TAG_NAME, "td"))
    assert "kernel.kptr_restrict is 0" in first.text
    WebDriverWait(browser, 10).until(lambda _: "/proc/sys/kernel/ostype" in first.text)


@pytest.mark.parametrize(("width", "height"), [(400, 900), (1280, 900)])
def test_no_width_scrolls_sideways(
    browser: webdriver.Chrome, page: Path, width: int, height: int
) -> None:
    browser.set_window_size(width, height)
    browser.get(page.as_uri())
    assert browser.execute_script(OVERFLOW) == 0
    if place := os.environ.get("HULLCHECK_SCREENSHOTS"):
        browser.save_screenshot(f"{place}/report-{width}.png")


def test_it_works_by_keyboard_and_for_a_screen_reader(
    browser: webdriver.Chrome, page: Path
) -> None:
    browser.get(page.as_uri())
    unnamed = browser.execute_script(
        "return [...document.querySelectorAll('input,select,button,svg')].filter("
        "e => !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label'))).length"
    )
    assert unnamed == 0
    levels = browser.execute_script(
        "return [...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])"
    )
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    browser.execute_script("document.querySelector('details.control summary').focus()")
    browser.switch_to.active_element.send_keys(" ")
    assert browser.find_element(By.CSS_SELECTOR, "details.control").get_attribute("open")


def test_nothing_hostile_acts(browser: webdriver.Chrome, tmp_path: Path) -> None:
    run = hostile_run(tmp_path / "run")
    path = write("html", Source(run), tmp_path / "report.html")
    assert path.stat().st_size < 1_000_000
    browser.get(path.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(e => e.open = true)")
    for each in browser.find_elements(By.CLASS_NAME, "more"):
        if each.is_displayed():
            each.click()
    WebDriverWait(browser, 10).until(lambda _: browser.find_elements(By.CLASS_NAME, "verdict"))
    browser.execute_script("document.querySelectorAll('details').forEach(e => e.open = true)")
    WebDriverWait(browser, 10).until(lambda _: browser.find_elements(By.TAG_NAME, "pre"))
    # Two scripts of ours run; all others are data.
    scripts = "return document.querySelectorAll('script:not([type])').length"
    assert browser.execute_script(scripts) == 1
    assert (
        browser.execute_script("return document.querySelectorAll('b script, a[href^=j]').length")
        == 0
    )
    assert [each["message"] for each in browser.get_log("browser")] == []
    text = path.read_text()
    for alive in ("<script>alert", "\x1b", "\u202e", "\x00"):
        assert alive not in text
