"""The page in a real browser: the band drags, search finds, the drawer opens, and nothing runs that should not run.

Chromium comes from the system (Debian's package), its driver is Playwright. Where there is no Chromium, the tests skip.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from report_profiles import SCRIPT, every_kind, large

from curate import beliefs, decide
from curate.auditing import audit
from curate.ledger import Ledger
from curate.publish.report import report
from curate.recipe import BandSection

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium; on Debian: apt-get install chromium")

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
CLASSES = ("kept", "aside", "too_hard", "too_easy", "undecided")


@dataclass
class Visit:
    """A page that is open, and what it did that nobody should see."""

    page: playwright.Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    def counts(self) -> dict[str, int]:
        return {name: int(self.text(f"#count-{name}").replace(",", "")) for name in CLASSES}

    def ids(self) -> list[str]:
        return [str(text) for text in self.page.locator("#rows td:first-child small").all_inner_texts()]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    ledger = every_kind(tmp_path_factory.mktemp("page") / "profile")
    audit(ledger.path, workers=1)
    report(ledger.path)
    return ledger


@pytest.fixture
def visiting(browser: playwright.Browser) -> Iterator[Callable[..., Visit]]:
    """Open pages; at the end none of them may have asked for anything, complained, or run what it should not."""
    visits = []

    def visit(file: Path, **settings: object) -> Visit:
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **settings})
        one = Visit(page)
        page.on("request", lambda request: one.requests.append(request.url))
        page.on("console", lambda message: one.complaints.append(message.text))
        page.on("pageerror", lambda error: one.complaints.append(str(error)))
        page.goto(file.as_uri())
        visits.append((one, file.as_uri()))
        return one

    yield visit
    for one, address in visits:
        assert one.page.evaluate("window.harmed") is None
        one.page.close()
        assert one.complaints == []
        assert [url for url in one.requests if url != address and not url.startswith(("data:", "blob:"))] == []


def decided(ledger: Ledger, low: float, high: float) -> dict[str, int]:
    """What a release of another band would count, over the problems with a scored rollout."""
    band = BandSection(low=low, high=high)
    estimates = decide.estimate(ledger.estimates(), band, beliefs.from_frame(ledger.prior()))
    table = decide.with_audit(estimates, ledger.audit()).filter(pl.col("n") > 0)
    kept = table.filter(decide.kept()).height
    sides = {name: table.filter(pl.col("outcome") == name).height for name in ("too_hard", "too_easy", "undecided")}
    return {"kept": kept, "aside": table.height - kept - sum(sides.values()), **sides}


def drag(visit: Visit, edge: str, to: float) -> None:
    handle = visit.page.locator(f"#{edge}").bounding_box()
    canvas = visit.page.locator("#plot .canvas").bounding_box()
    assert handle is not None
    assert canvas is not None
    visit.page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + 60)
    visit.page.mouse.down()
    visit.page.mouse.move(canvas["x"] + canvas["width"] * to, handle["y"] + 60, steps=4)
    visit.page.mouse.up()
    settle(visit)


def settle(visit: Visit) -> None:
    """Let what waits for the next frame happen."""
    visit.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def search(visit: Visit, words: str, found: str) -> None:
    visit.page.evaluate("document.getElementById('found').textContent = ''")
    visit.page.fill("#query", words)
    visit.page.wait_for_function("(found) => document.getElementById('found').textContent === found", arg=found)


# -- the band -----------------------------------------------------------------------------------------------------


def test_the_counts_are_the_tables_own_at_first(ledger: Ledger, visiting: Callable[..., Visit]) -> None:
    visit = visiting(ledger.path / "report.html")
    assert visit.counts() == decided(ledger, 0.2, 0.8)
    assert not visit.page.locator("#moved").is_visible()


def test_dragging_the_band_counts_as_filter_would(ledger: Ledger, visiting: Callable[..., Visit]) -> None:
    visit = visiting(ledger.path / "report.html")
    before = visit.counts()
    drag(visit, "low", 0.45)
    assert visit.page.locator("#low").get_attribute("aria-valuenow") == "0.45"
    assert visit.counts() == decided(ledger, 0.45, 0.8) != before
    drag(visit, "high", 0.975)
    assert visit.counts() == decided(ledger, 0.45, 0.975)
    assert visit.text("#moved-command").endswith("--to OUT --band 0.45:0.975")
    # The waterfall follows: what is left at its end is what the counts keep.
    assert visit.text("#kept-count") == str(visit.counts()["kept"])
    taken = [int(text[1:]) for text in visit.page.locator("#waterfall li[data-reason]:visible b").all_inner_texts()]
    assert 68 - sum(taken) == visit.counts()["kept"]
    drag(visit, "high", 0.1)
    assert visit.page.locator("#high").get_attribute("aria-valuenow") == "0.475", "the edges do not cross"
    visit.page.click("#reset")
    assert visit.counts() == before


def test_the_band_moves_by_keyboard(ledger: Ledger, visiting: Callable[..., Visit]) -> None:
    visit = visiting(ledger.path / "report.html")
    visit.page.focus("#high")
    for key, edge in {"ArrowLeft": 0.775, "PageDown": 0.675, "ArrowUp": 0.7, "End": 1, "Home": 0.225}.items():
        visit.page.keyboard.press(key)
        settle(visit)
        assert float(visit.page.locator("#high").get_attribute("aria-valuenow") or -1) == edge
        assert visit.counts() == decided(ledger, 0.2, edge)
    assert visit.page.locator("#high").get_attribute("aria-valuemin") == "0.225"
    assert "problems kept" in str(visit.page.locator("#high").get_attribute("aria-valuetext"))


def test_the_band_moves_by_touch(ledger: Ledger, visiting: Callable[..., Visit]) -> None:
    visit = visiting(ledger.path / "report.html", has_touch=True, viewport={"width": 400, "height": 900})
    visit.page.locator("#plot").scroll_into_view_if_needed()
    handle = visit.page.locator("#low").bounding_box()
    canvas = visit.page.locator("#plot .canvas").bounding_box()
    assert handle is not None
    assert canvas is not None
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + 50
    finger = visit.page.context.new_cdp_session(visit.page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": canvas["x"] + canvas["width"] * 0.5, "y": y}]),
        ("touchEnd", []),
    ):
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    settle(visit)
    assert visit.counts() == decided(ledger, 0.5, 0.8)


# -- the table ----------------------------------------------------------------------------------------------------


def test_search_finds_questions_answers_rollouts_and_ids(ledger: Ledger, visiting: Callable[..., Visit]) -> None:
    visit = visiting(ledger.path / "report.html")
    for words, found in {
        "WHAT IS graded-07?": ["graded-07"],
        "another form": ["graded-02"],
        r"\frac{1}{2}": ["tricks⟨U+202E⟩"],
        "-dashed": ["-dashed"],
    }.items():
        search(visit, words, f"{len(found)} of 68 problems")
        assert visit.ids() == found
    search(visit, "nothing of that kind", "0 of 68 problems")
    assert visit.ids() == []
    visit.page.click("#clear")
    assert visit.text("#found") == "68 problems"


def test_filters_and_sorting(ledger: Ledger, visiting: Callable[..., Visit]) -> None:
    visit = visiting(ledger.path / "report.html")
    table = decide.with_audit(ledger.estimates(), ledger.audit())
    visit.page.select_option("#outcome", "too_hard")
    hard = table.filter(pl.col("outcome") == "too_hard")
    assert sorted(visit.ids()) == sorted(hard["problem_id"])
    visit.page.click("th[data-key=rate] button")
    by_rate = hard.with_row_index().sort(["pass_rate", "index"], descending=[True, False])["problem_id"].to_list()
    assert visit.ids() == by_rate
    assert visit.page.locator("th[data-key=rate]").get_attribute("aria-sort") == "descending"
    visit.page.click("th[data-key=rate] button")
    assert visit.ids()[0] == by_rate[-1]
    visit.page.click("#clear")
    visit.page.select_option("#reason", "any duplicate")
    assert visit.ids() == ["again"]
    visit.page.select_option("#reason", "any engine_error")
    assert (
        visit.ids()
        == table.filter(pl.col("reasons").list.contains("engine_error"))["problem_id"]
        .str.replace("\u202e", "⟨U+202E⟩")
        .to_list()
    )
    visit.page.click("#clear")
    visit.page.select_option("#source", label="even <b>")
    assert visit.text("#found") == "30 of 68 problems"
    visit.page.select_option("#outcome", "kept")
    both = table.filter(decide.kept() & pl.col("problem_id").str.contains("graded-.[02468]$"))
    assert visit.ids() == both["problem_id"].to_list()


def test_a_reason_of_the_waterfall_shows_its_problems(ledger: Ledger, visiting: Callable[..., Visit]) -> None:
    visit = visiting(ledger.path / "report.html")
    for reason in ("too_easy", "unverifiable", "duplicate"):
        row = visit.page.locator(f"#waterfall li[data-reason={reason}]")
        taken = row.locator("b").inner_text()[1:]
        row.locator("button").click()
        assert visit.text("#found") == f"{taken} of 68 problems"
    visit.page.click("[data-filter=undecided]")
    assert visit.text("#found") == f"{visit.counts()['undecided']} of 68 problems"


def test_the_ids_can_be_downloaded(ledger: Ledger, visiting: Callable[..., Visit], tmp_path: Path) -> None:
    visit = visiting(ledger.path / "report.html")
    visit.page.select_option("#outcome", "left")
    with visit.page.expect_download() as waiting:
        visit.page.click("#download")
    waiting.value.save_as(tmp_path / "ids.txt")
    table = decide.with_audit(ledger.estimates(), ledger.audit())
    assert (tmp_path / "ids.txt").read_text().splitlines() == table.filter(~decide.kept())["problem_id"].to_list()


# -- the drawer ---------------------------------------------------------------------------------------------------


def test_the_drawer_opens_and_closes_by_keyboard(ledger: Ledger, visiting: Callable[..., Visit]) -> None:
    visit = visiting(ledger.path / "report.html")
    first = visit.page.locator("#rows button.open").nth(1)
    first.focus()
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("dialog[open]")
    body = visit.text("#drawer-body")
    assert "graded-01" in visit.text("#drawer-title")
    assert "7 of 60 pass" in body
    assert "<user>What is graded-01?<assistant>" in body
    assert r"0: 1036+1=1037; \boxed{1037}" in visit.text("pre.pass")
    assert "7: " in visit.text("pre.fail")
    assert visit.text("#drawer-command") == f"curate show {ledger.path} graded-01"
    assert visit.page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    visit.page.keyboard.press("ArrowRight")
    visit.page.wait_for_function("() => document.getElementById('drawer-title').textContent === 'graded-02'")
    visit.page.keyboard.press("Escape")
    visit.page.wait_for_selector("dialog:not([open])", state="attached")
    assert visit.page.evaluate("document.activeElement.dataset.row") == "1"


def test_what_was_never_sampled_has_a_drawer_too(ledger: Ledger, visiting: Callable[..., Visit]) -> None:
    visit = visiting(ledger.path / "report.html")
    search(visit, "again", "1 of 68 problems")
    visit.page.click("#rows tr")
    visit.page.wait_for_selector("dialog[open]")
    body = visit.text("#drawer-body")
    assert "repeats graded-00" in body
    assert "it was not sampled" in body
    visit.page.click("#drawer-close")
    search(visit, "-dashed", "1 of 68 problems")
    visit.page.click("#rows tr")
    visit.page.wait_for_selector("dialog[open]")
    assert visit.text("#drawer-command") == f"curate show {ledger.path} -- -dashed"


def test_injected_markup_is_text_and_does_not_run(ledger: Ledger, visiting: Callable[..., Visit]) -> None:
    visit = visiting(ledger.path / "report.html")
    search(visit, "onerror", "1 of 68 problems")
    visit.page.click("#rows tr")
    visit.page.wait_for_selector("dialog[open]")
    prompt, reference = (visit.page.locator("dialog pre").nth(place).inner_text() for place in (0, 1))
    assert prompt == f"<user>Who {SCRIPT}?<assistant>"
    assert reference == SCRIPT
    assert visit.text("pre.pass") == f"0: {SCRIPT}"
    assert SCRIPT in visit.text(".tally")
    assert visit.page.locator("img").count() == 0
    assert visit.page.locator("script").count() == 2
    # And had it become markup, the policy would stop it: the complaint says so and is ours.
    visit.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=data:, onerror=\"window.harmed = 1\">')"
    )
    visit.page.wait_for_timeout(100)
    assert any("Content Security Policy" in said for said in visit.complaints)
    visit.complaints.clear()


def test_tricks_of_unicode_are_seen(ledger: Ledger, visiting: Callable[..., Visit]) -> None:
    visit = visiting(ledger.path / "report.html", viewport={"width": 400, "height": 900})
    search(visit, "tricks", "1 of 68 problems")
    visit.page.click("#rows tr")
    visit.page.wait_for_selector("dialog[open]")
    assert visit.text("#drawer-title") == "tricks⟨U+202E⟩"
    shown = visit.text("pre.pass")
    assert shown.startswith(
        "1: left⟨U+202E⟩right⟨U+200B⟩⟨U+001B⟩[2J⟨U+0000⟩ \\(\\frac{1}{2}\\) {{ 7*7 }} ⟨U+2028⟩ &amp;"
    )
    assert shown.count("y") == 30_000
    assert visit.page.evaluate("document.querySelector('dialog').scrollWidth") <= 400


# -- how it looks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_window(ledger: Ledger, visiting: Callable[..., Visit], width: int) -> None:
    visit = visiting(ledger.path / "report.html", viewport={"width": width, "height": 900})
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width
    visit.page.locator("#rows button.open").first.click()
    visit.page.wait_for_selector("dialog[open]")
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width


def test_dark_mode_follows_the_system_and_the_toggle(ledger: Ledger, visiting: Callable[..., Visit]) -> None:
    def lightness(visit: Visit) -> int:
        color = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in color[4:-1].split(",")[:3])

    light = visiting(ledger.path / "report.html", color_scheme="light")
    dark = visiting(ledger.path / "report.html", color_scheme="dark")
    assert lightness(dark) < 150 < 600 < lightness(light)
    for visit in (light, dark):
        before = lightness(visit)
        visit.page.click("#theme")
        assert (lightness(visit) < 300) != (before < 300)
        visit.page.click("#theme")
        assert lightness(visit) == before
    dark.page.emulate_media(media="print")
    assert not dark.page.locator(".top").is_visible()
    assert lightness(dark) == 3 * 255


def test_without_its_script_the_page_still_tells(ledger: Ledger, browser: playwright.Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((ledger.path / "report.html").as_uri())
    assert page.locator("#count-kept").inner_text() == str(decided(ledger, 0.2, 0.8)["kept"])
    assert page.locator("noscript").inner_text().startswith("The table of problems needs")
    assert page.locator("#waterfall li:visible").count() > 5
    context.close()


# -- how much it bears --------------------------------------------------------------------------------------------


def test_fifty_thousand_problems_stay_usable(visiting: Callable[..., Visit], tmp_path: Path) -> None:
    ledger = large(tmp_path / "profile", 50_000, 4_000)
    page = report(ledger.path)
    assert page.bytes < 15_000_000
    assert page.cap is not None
    assert page.cap >= 50
    visit = visiting(page.path)
    assert f"a drawer shows {page.cap:,} characters of each text" in visit.text("#cap")
    assert visit.text("#page") == "Page 1 of 1,000"
    assert visit.counts() == decided(ledger, 0.2, 0.8)
    visit.page.locator("#next").scroll_into_view_if_needed()
    visit.page.click("#next")
    assert visit.ids()[0] == f"{50:08x}"
    visit.page.focus("#low")
    visit.page.keyboard.press("PageUp")
    settle(visit)
    assert visit.counts() == decided(ledger, 0.3, 0.8)
    search(visit, "problem 49999:", "1 of 50,000 problems")
    assert visit.ids() == [f"{49_999:08x}"]
    visit.page.click("#rows button.open")
    visit.page.wait_for_selector("dialog[open]")
    assert visit.text("pre.pass").startswith("00019998 ")
    assert f"[…{4_000 - page.cap}…]" in visit.text("pre.pass")
