"""The pages as a FastAPI app: GET alone, behind whatever guard it is given.

Names in an address are looked up among what there is, never used as a path. A page has no script
but its own, and nothing from elsewhere (Content-Security-Policy).
"""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.params import Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from jobs.page import days, gates, models, plots, tables
from jobs.page.drawing import HERE, environment
from lakehouse.dates import date
from lakehouse.delta import Lake
from lakehouse.errors import LakeError
from lakehouse.stages import Flow
from lakehouse.tables import TABLES

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}  # fmt: skip
STATIC = {"page.css": "text/css", "page.js": "text/javascript"}
FIGURES = {
    "kept": "rows kept", "in": "rows in", "rejected": "rows rejected", "cost": "cost",
    "seconds": "seconds", "all": "all figures",
}  # fmt: skip
"""What a cell of the grid can show beside its state."""

Context = dict[str, Any]
router = APIRouter()


class Scheduler(Protocol):
    """What runs the stages, as far as a page links to it."""

    @property
    def prefix(self) -> str:
        """The path under which its own pages lie; without a slash at its end."""

    def run_of(self, flow: Flow, day: dt.date) -> str | None:
        """Its newest run of a flow for a day."""

    def day_of(self, flow: str, run_id: str) -> dt.date | None:
        """The day that a run is about."""

    def end_of(self, flow: Flow, run_id: str, task: str, index: int) -> tuple[int, int] | None:
        """The newest try of a task, and the line of its log that says how it ended."""


def application(
    lake: Callable[[], Lake], guard: Sequence[Depends] = (), scheduler: Scheduler | None = None
) -> FastAPI:
    """The app over the lake that `lake` gives when it is first asked; every page has the guard."""
    app = FastAPI(title="Lake", docs_url=None, redoc_url=None, openapi_url=None,
                  dependencies=guard)  # fmt: skip
    app.state.pages = Pages(lake, scheduler)
    app.include_router(router)
    app.middleware("http")(_with_headers)
    app.exception_handler(StarletteHTTPException)(_refusal)
    app.exception_handler(Exception)(_defect)
    return app


class Pages:
    """The one lake that all requests ask: one at a time, for its open tables are shared."""

    def __init__(self, lake: Callable[[], Lake], scheduler: Scheduler | None) -> None:
        self._open, self._lock = lake, threading.Lock()
        self._lake: Lake | None = None
        self.scheduler = scheduler
        self.root = ""
        """Where the lake lies, once it has been asked."""

    def asked(self, question: Callable[[Lake], Any]) -> Any:
        """The lake's answer; one that cannot be read is opened anew by the next request."""
        with self._lock:
            lake = self._lake = self._lake or self._open()
            self.root = lake.root
            try:
                return question(lake)
            except HTTPException:
                raise
            except Exception:
                self._lake = None  # its open tables may be of a lake that was begun anew since
                raise


def _page(
    request: Request, template: str, question: Callable[[Lake], Context], status: int = 200
) -> HTMLResponse:
    """A template filled with the lake's answer; a lake that cannot be read is a page, too."""
    pages: Pages = request.app.state.pages
    try:
        context = pages.asked(question)
    except HTTPException:
        raise
    except Exception as error:
        if not _unreadable(error):
            raise
        template, status = "unreadable.html", 503
        context = {"error": str(error), "kind": type(error).__name__}
    shown = environment().get_template(template).render(
        root=request.scope.get("root_path", ""), lake=pages.root, now=dt.datetime.now(dt.UTC),
        airflow=pages.scheduler.prefix if pages.scheduler else None, **context,
    )  # fmt: skip
    return HTMLResponse(shown, status)


def _unreadable(error: Exception) -> bool:
    """Whether the fault lies with the lake or its settings, not with a page."""
    import duckdb
    import pyarrow as pa
    from deltalake.exceptions import DeltaError

    return isinstance(error, LakeError | DeltaError | OSError | duckdb.Error | pa.ArrowException)


# -- pages -----------------------------------------------------------------------------------------


@router.get("/")
def all_days(request: Request, show: str = "kept", span: str = "", only: str = "") -> HTMLResponse:
    """The grid of days by stages."""
    show = show if show in FIGURES else "kept"

    def question(lake: Lake) -> Context:
        found = days.grid(lake, everything=span == "all", failed=only == "failed")
        return {"grid": found, "show": show, "span": span, "only": only, "figures": FIGURES}

    return _page(request, "days.html", question)


@router.get("/days/{day}")
def one_day(request: Request, day: str) -> HTMLResponse:
    """A day: its stages, gates and rejected rows."""

    def question(lake: Lake) -> Context:
        found = days.day(lake, _date(day))
        if found is None:
            raise HTTPException(404, f"No stage has run for {day}.")
        return {"day": found, "suites": gates.suites(lake, found.day, found.day),
                "failures": gates.failures(lake, found.day, found.day),
                "tables": TABLES, "tasks": days.TASKS}  # fmt: skip

    return _page(request, "day.html", question)


@router.get("/tables")
def all_tables(request: Request) -> HTMLResponse:
    """Every table: version, rows, freshness, size."""

    def question(lake: Lake) -> Context:
        there, missing, broken = tables.listed(lake)
        return {"there": there, "missing": missing, "broken": broken}

    return _page(request, "tables.html", question)


@router.get("/tables/{name}")
def one_table(request: Request, name: str) -> HTMLResponse:
    """A table: its columns, commits and days."""

    def question(lake: Lake) -> Context:
        found = tables.opened(lake, name)
        if found is None:
            raise HTTPException(404, f"There is no table {name} in this lake.")
        return {"opened": found}

    return _page(request, "table.html", question)


@router.get("/tables/{name}/rows")
def some_rows(request: Request, name: str, of: str = "", version: str = "") -> HTMLResponse:
    """The first rows of a table, or of one of its partitions, at a version."""

    def question(lake: Lake) -> Context:
        at = int(version) if re.fullmatch("[0-9]{1,19}", version) else None  # Delta's are 64 bits
        found = tables.some(lake, name, of, at) if version in {"", str(at)} else None
        if found is None:
            raise HTTPException(404, f"There is no such table, version or part of it: {name}.")
        return {"some": found, "limit": tables.SHOWN_ROWS}

    return _page(request, "rows.html", question)


@router.get("/gates")
def all_gates(request: Request) -> HTMLResponse:
    """What the gates saw on the newest days, failures first."""

    def question(lake: Lake) -> Context:
        newest = days.held(lake)[: days.NEWEST_DAYS]
        if not newest:
            return {"suites": [], "failures": []}
        first, last = newest[-1], newest[0]
        return {"suites": gates.suites(lake, first, last), "first": first, "last": last,
                "failures": gates.failures(lake, first, last), "limit": gates.FINDINGS}  # fmt: skip

    return _page(request, "gates.html", question)


@router.get("/models")
def all_models(request: Request) -> HTMLResponse:
    """Models, with the newest scores and losses."""

    def question(lake: Lake) -> Context:
        found = models.models(lake)
        return {
            "models": found.models, "gains": plots.gains(found.scores),
            "rates": plots.rates(found.scores), "losses": plots.losses(found.steps),
        }  # fmt: skip

    return _page(request, "models.html", question)


@router.get("/models/{model_id:path}")
def one_model(request: Request, model_id: str) -> Response:
    """A model: its scores, intervals, course and promotion."""
    if not model_id or model_id.endswith("/"):
        return nothing(request, f"models/{model_id}")

    def question(lake: Lake) -> Context:
        found = models.model(lake, model_id)
        if found is None:
            raise HTTPException(404, f"There is no model {model_id} in this lake.")
        own = [s for s in found.scores if s["model_id"] == model_id]
        return {"found": found, "gains": plots.gains(found.scores), "rates": plots.rates(own),
                "losses": plots.losses(found.steps)}  # fmt: skip

    return _page(request, "model.html", question)


@router.get("/static/{name}")
def static(name: str) -> Response:
    """The stylesheet and the script."""
    if name not in STATIC:
        raise HTTPException(404, f"There is no file {name}.")
    return Response((HERE / "static" / name).read_bytes(), media_type=STATIC[name])


# -- to and from the scheduler ---------------------------------------------------------------------


@router.get("/log/{day}/{stage}")
def log(request: Request, day: str, stage: str) -> Response:
    """To the line of the log, on the scheduler's own page, that says how a stage ended.

    Where there is no such line it is the page alone: of a task at work, or whose log is gone.
    """
    scheduler, task = request.app.state.pages.scheduler, days.task_of(stage)
    run = scheduler.run_of(task[0], _date(day)) if scheduler and task else None
    if run is None or task is None:
        raise HTTPException(404, f"Airflow has no run of {stage} for {day}: it ran without Airflow "
                            "(lake run), or Airflow has forgotten it.")  # fmt: skip
    flow, name, index = task
    mapped = f"/mapped/{index}" if index >= 0 else ""
    end = scheduler.end_of(flow, run, name, index)
    line = f"?try_number={end[0]}#{end[1]}" if end else ""
    place = f"{scheduler.prefix}/dags/{flow}/runs/{quote(run, safe='')}/tasks/{name}"
    return RedirectResponse(f"{place}{mapped}{line}")


@router.get("/runs/{flow}/{run_id}")
@router.get("/runs/{flow}/{run_id}/{task}")
def of_run(request: Request, flow: str, run_id: str, task: str = "") -> Response:
    """From a run or task of the scheduler to its day."""
    pages = request.app.state.pages
    day = pages.scheduler.day_of(flow, run_id) if pages.scheduler else None
    if day is None:
        raise HTTPException(404, f"The run {run_id} of {flow} is about no day of the lake.")
    anchor = f"#{quote(days.stage_of(task), safe='')}" if task else ""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/days/{day}{anchor}")


@router.get("/{address:path}")
def nothing(request: Request, address: str) -> Response:
    """Any other address: behind the guard like the rest; with slashes too many, the page meant."""
    meant = address.strip("/")
    if meant in {"", address}:
        raise HTTPException(404, f"There is no page {address}.")
    return RedirectResponse(f"{request.scope.get('root_path', '')}/{quote(meant)}")


# -- what holds for every answer -------------------------------------------------------------------


def _date(text: str) -> dt.date:
    try:
        return date(text)
    except ValueError:
        raise HTTPException(404, f"{text} is no day: YYYY-MM-DD.") from None


async def _with_headers(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


async def _refusal(request: Request, error: Exception) -> Response:
    """A page that says why not; who may not see anything is shown no more than that."""
    assert isinstance(error, StarletteHTTPException)
    pages: Pages = request.app.state.pages
    shown = environment().get_template("refused.html").render(
        root=request.scope.get("root_path", ""), status=error.status_code, detail=error.detail,
        airflow=pages.scheduler.prefix if pages.scheduler else None,
    )  # fmt: skip
    return HTMLResponse(shown, error.status_code, error.headers)


async def _defect(request: Request, error: Exception) -> Response:
    """A page for what should not happen, past the middleware; the server logs the error."""
    detail = f"A defect of ours ({type(error).__name__}): the server's log says more."
    response = await _refusal(request, StarletteHTTPException(500, detail))
    response.headers.update(HEADERS)
    return response
