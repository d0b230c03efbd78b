"""The pages in a real browser: keyboard, light and dark, no network, and out of Airflow's frame."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from jobs.page.app import application
from lakehouse.delta import Lake
from tests.jobs.page_lake import FIRST, INVERSE, SECOND, fill

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)  # fmt: skip
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no browser: `apt-get install chromium`"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="no playwright: `make setup`"),
]
FRAME = """<!doctype html><html class="dark"><title>around</title><iframe src="/lake/" width="900"
    height="600" sandbox="allow-scripts allow-same-origin allow-forms allow-downloads"></iframe>"""
"""What Airflow 3.3 puts around a plugin's page: its theme's class, and a sandbox."""
PAGES = ("/", f"/days/{SECOND}", "/tables", "/tables/silver.snippets",
         "/tables/silver.snippets/rows", "/gates", "/models", f"/models/{INVERSE}")  # fmt: skip
REACHABLE = """[...document.querySelectorAll('.wide:not(.tall)')].every(
    e => e.tabIndex === 0 && e.getAttribute('aria-label')) &&
    [...document.querySelectorAll('table')].every(t => t.querySelector('thead th[scope=col]'))"""
"""What scrolls takes the focus and has a name (the grid's links scroll it); tables have headers."""


class Airflow:
    """Stands for Airflow: one run, whose task has a page outside of ours."""

    prefix = ""

    def run_of(self, flow: str, day: object) -> str:
        return "r"

    def day_of(self, flow: str, run_id: str) -> None: ...

    def end_of(self, flow: str, run_id: str, task: str, index: int) -> tuple[int, int]:
        return 1, 17


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with the pages under /lake, and a page around them."""
    lake = Lake(str(tmp_path_factory.mktemp("browser") / "lake"))
    fill(lake)
    app = FastAPI()
    app.mount("/lake", application(lambda: lake, scheduler=Airflow()))
    app.get("/around")(lambda: HTMLResponse(FRAME))
    app.get("/dags/{rest:path}")(lambda rest: HTMLResponse(f"<title>task {rest}</title>"))
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [held]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        # as root there is no sandbox of the browser's own; it sees nothing but these pages
        made = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    made = browser.new_page(viewport={"width": 1280, "height": 800})
    made.set_default_timeout(60_000)
    yield made
    made.close()


def focused(tab: Any) -> str:
    """Where the focus is: the text of that link."""
    found: str = tab.evaluate("document.activeElement.textContent.trim()")
    return found


@pytest.mark.parametrize(("scheme", "pages"), [("light", PAGES), ("dark", PAGES[:2])])
def test_every_page_shows_without_error_or_elsewhere(
    browser: Any, base: str, scheme: str, pages: tuple[str, ...], tmp_path: Path
) -> None:
    tab = browser.new_page(color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    for n, path in enumerate(pages):
        tab.goto(f"{base}/lake{path}")
        assert tab.screenshot(path=str(tmp_path / f"{n}.png"))
        assert tab.evaluate("window.struck") is None
        assert tab.evaluate("document.querySelectorAll('h1').length") == 1
        assert tab.evaluate(REACHABLE), path
    red, green, blue = tab.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    )
    assert (red + green + blue < 200) == (scheme == "dark")
    assert said == []
    assert {u for u in asked if not u.startswith((base, "data:"))} == set()
    tab.close()


def test_the_keyboard_reaches_everything(tab: Any, base: str) -> None:
    tab.goto(f"{base}/lake/")
    order = []
    for _ in range(6):
        tab.keyboard.press("Tab")
        order.append(focused(tab))
    assert order == ["Skip to content", "Days", "Tables", "Gates", "Models", "Airflow"]
    tab.goto(f"{base}/lake/")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"
    while focused(tab) != str(SECOND):  # past the choices: the grid is one stop
        tab.keyboard.press("Tab")
    tab.keyboard.press("ArrowDown")
    assert focused(tab) == str(FIRST)
    tab.keyboard.press("ArrowRight")
    assert focused(tab) == "✓ 8"
    tab.keyboard.press("ArrowUp")
    assert focused(tab) == "✓ 12\u202f343"
    tab.keyboard.press("ArrowRight")  # no run of extract that day: on to the next
    assert focused(tab) == "⊘ 8"
    tab.keyboard.press("Home")
    assert focused(tab) == str(SECOND)
    tab.keyboard.press("ArrowUp")  # there is nothing above
    assert focused(tab) == str(SECOND)
    tab.keyboard.press("Tab")
    assert not tab.evaluate("!!document.activeElement.closest('.days')")
    tab.keyboard.press("Shift+Tab")
    assert focused(tab) == str(SECOND)
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"{base}/lake/days/{SECOND}")


def test_links_to_airflow_leave_its_frame_and_its_theme_is_kept(tab: Any, base: str) -> None:
    tab.goto(f"{base}/around")
    frame = tab.frame_locator("iframe")
    frame.get_by_role("link", name=str(SECOND)).click()
    frame.locator("#ingest").wait_for()
    (inner,) = [f for f in tab.frames if f.parent_frame]
    assert inner.evaluate("document.documentElement.dataset.theme") == "dark"
    frame.locator("#ingest a.out").click()
    tab.wait_for_url(f"{base}/dags/corpus/runs/r/tasks/ingest?try_number=1#17")
    assert len(tab.frames) == 1
