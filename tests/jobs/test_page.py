"""The pages: what they say of a lake, what they refuse, and that rows stay text."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Depends, HTTPException
from fastapi.testclient import TestClient

from jobs.page import app as page
from jobs.page import days, drawing
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.tables import JOB_RUNS, SNIPPETS, TABLES
from tests.jobs.page_lake import CONTROL, FIRST, INVERSE, SECOND, fill, run

PAGES = (
    "/", "/?span=all&show=all", "/?only=failed", f"/days/{FIRST}", f"/days/{SECOND}", "/tables",
    "/tables/silver.snippets", "/tables/silver.snippets/rows",
    f"/tables/silver.snippets/rows?of={SECOND}&version=1", "/gates", "/models",
    f"/models/{INVERSE}", f"/models/{CONTROL}",
)  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(str(tmp_path_factory.mktemp("page") / "lake"))
    fill(lake)
    return lake


@pytest.fixture
def client(filled: Lake) -> TestClient:
    return TestClient(page.application(lambda: filled), follow_redirects=False)


def words(text: str) -> str:
    """What a page says, without its markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def line(text: str, holding: str) -> str:
    """The words of the table row that holds a text."""
    return next(words(r) for r in re.split(r"</?tr\b", text) if holding in r)


# -- what they say ---------------------------------------------------------------------------------


def test_the_grid_shows_the_newest_run_of_each_stage_and_the_cost_of_all(
    client: TestClient,
) -> None:
    text = client.get("/").text
    assert re.findall(r'<th scope="col"><span>(.*?)<', text) == [
        "ingest", "extract", "gate corpus", "summarize", "of another age"]  # fmt: skip
    assert re.findall(r'<th scope="row"><a href="/days/(.*?)"', text) == [str(SECOND), str(FIRST)]
    assert f'<td class="done"><a href="days/{SECOND}#ingest">✓ 12\u202f343</a>' in text
    assert f'<td class="gate_failed"><a href="days/{SECOND}#gate_corpus">⊘ 8</a>' in text
    assert f'<td class="killed"><a href="days/{SECOND}#of_another_age">† 8</a>' in text
    assert "$0.53" in line(text, f"/days/{SECOND}")
    assert '#ingest">✓ 12\u202f345 → 12\u202f343 \N{MINUS SIGN} 2 $0.51</a>' in (
        client.get("/?show=all").text)  # fmt: skip


def test_the_grid_can_be_of_days_on_which_something_failed(client: TestClient) -> None:
    text = client.get("/?only=failed").text
    assert f"/days/{SECOND}" in text
    assert f"/days/{FIRST}" not in text


def test_only_the_newest_days_are_shown_unless_all_are_asked_for(lake: Lake) -> None:
    many = [FIRST + dt.timedelta(n) for n in range(days.NEWEST_DAYS + 5)]
    lake.upsert(JOB_RUNS, [run("ingest", day, "done", 0) for day in many], "r")
    some = days.grid(lake)
    assert (some.days, some.of_days) == (many[:4:-1], len(many))
    assert {day for day, _ in some.cells} == set(some.days)
    assert days.grid(lake, everything=True).days == many[::-1]


def test_a_day_tells_its_stages_gates_and_rejected_rows(client: TestClient) -> None:
    text = client.get(f"/days/{SECOND}").text
    ingest = line(text, 'id="ingest"')
    assert "✓ done 12 345 12 343 2 0 1.5 $0.51 2 2026-11-03 01:04:00" in ingest
    assert "the source is gone" in words(text)  # of the try before
    assert f'href="/days/{FIRST}"' in text
    assert "Blocks the day" in text
    assert "silver.snippets: code" in words(text)
    first = client.get(f"/days/{FIRST}").text
    assert f'href="/tables/silver.snippets/rows?of={FIRST}&amp;version=1"' in first
    assert "nothing new in bronze.documents" in line(first, 'id="ingest"')


def test_a_failing_expectation_shows_its_rows_as_they_were_checked(client: TestClient) -> None:
    for address in ("/gates", f"/days/{SECOND}"):
        text = client.get(address).text
        failed = text[text.index("<article") : text.index("</article>")]
        assert "The first rows that failed" in failed
        assert re.findall(r'<th scope="col">(\w+)<', failed)[:3] == [
            "snippet_id",
            "code",
            "document_id",
        ]
        assert "<td><div>s2</div></td>" in failed
        assert "<td><div>s1</div></td>" not in failed
    assert "2 1 0" in line(text, 'scope="row">silver.snippets')  # rules, block, warn


def test_tables_have_version_rows_freshness_and_size(client: TestClient, filled: Lake) -> None:
    text = client.get("/tables").text
    told = line(text, '"/tables/silver.snippets"')
    assert told.split()[1:4] == ["silver.snippets", str(filled.version(SNIPPETS)), "2"]
    assert " ago " in told
    assert str(SECOND) in told
    assert drawing.size(filled.size(SNIPPETS)) in told
    assert "gold.instruction_pairs" in text[text.index("Not there yet") :]


def test_rows_are_those_of_the_day_and_version(client: TestClient) -> None:
    text = client.get(f"/tables/silver.snippets/rows?of={SECOND}").text
    assert ("<td><div>s2</div></td>" in text, "<td><div>s1</div></td>" in text) == (True, False)
    assert "1 of 1 rows" in words(text)
    empty = client.get("/tables/silver.snippets/rows?version=0").text
    assert "No rows." in empty
    empty = client.get(f"/tables/silver.snippets/rows?of={SECOND}&version=0").text
    assert "No rows." in empty  # a stage may have left the day none


def test_a_models_page_has_scores_intervals_control_and_promotion(client: TestClient) -> None:
    text = client.get(f"/models/{INVERSE}").text
    assert "+26.0 +20.0 to +31.0 1e-15 300 1 inverse control" in line(text, "_gain_over_")
    assert "it rises" in line(text, "it rises")
    assert text.count("<circle") == 2  # its gain and its pass@1
    assert len(re.findall(r"<polyline", text)) == 1
    control = client.get(f"/models/{CONTROL}").text
    assert "+26.0" in control  # as what the other is measured against


def test_a_lake_without_runs_says_how_to_begin(lake: Lake) -> None:
    client = TestClient(page.application(lambda: lake))
    for address, says in (("/", "lake run --from"), ("/tables", "lake run --from"),
                          ("/gates", "gate_corpus"), ("/models", "prepare")):  # fmt: skip
        answer = client.get(address)
        assert answer.status_code == 200
        assert 'class="empty"' in answer.text
        assert says in answer.text


# -- what they refuse ------------------------------------------------------------------------------


def test_a_row_that_holds_markup_shows_as_text(client: TestClient) -> None:
    for address in (f"/days/{SECOND}", "/tables/silver.snippets/rows", "/gates",
                    f"/models/{INVERSE}"):  # fmt: skip
        assert "&lt;script&gt;window.struck = 1&lt;/script&gt;" in client.get(address).text, address


NAMES = ("../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/x", "silver.snippets'--", "ops",
         "silver.snippets%00", "2026-11-01' OR 1=1", "*", "~root")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_not_there_is_no_path(client: TestClient, name: str) -> None:
    for address in (f"/tables/{name}", f"/tables/{name}/rows", f"/days/{name}", f"/models/{name}",
                    f"/static/{name}", f"/tables/silver.snippets/rows?of={name}",
                    f"/tables/silver.snippets/rows?version={name}",
                    f"/runs/corpus/{name}", f"/log/{name}/ingest"):  # fmt: skip
        answer = client.get(address)
        assert answer.status_code == 404, address
        assert "root:x:" not in answer.text


@pytest.mark.parametrize("version", ["-1", "2", "9" * 20, "²", "1.0", "0x1", "9" * 5000])
def test_a_version_that_is_not_there_is_refused(client: TestClient, version: str) -> None:
    answer = client.get("/tables/silver.snippets/rows", params={"version": version})
    assert answer.status_code == 404


def test_a_day_that_is_not_there_is_refused(client: TestClient) -> None:
    for address in ("/days/2020-01-01", "/tables/silver.snippets/rows?of=2020-01-01",
                    f"/days/{FIRST:%Y%m%d}", f"/days/{FIRST:%G-W%V-%u}"):  # fmt: skip
        assert client.get(address).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_changed(client: TestClient, method: str) -> None:
    for address in (*PAGES, "/static/page.css", "/log/2026-11-01/ingest", "/runs/corpus/x"):
        assert client.request(method, address).status_code == 405, address


def test_every_answer_is_behind_the_guard_and_bears_the_headers(filled: Lake) -> None:
    def nobody() -> None:
        raise HTTPException(401, "Not authenticated")

    guarded = TestClient(page.application(lambda: filled, [Depends(nobody)]))
    for address in (*PAGES, "/static/page.css", "/static/page.js", "/log/2026-11-01/ingest",
                    "/runs/corpus/x", "/runs/corpus/x/ingest", "/docs", "/openapi.json", "/redoc",
                    "/no/such/page", "/tables/"):  # fmt: skip
        answer = guarded.get(address)
        assert answer.status_code == 401, address
        assert "snippets" not in answer.text
        assert "script-src 'self';" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]


def test_a_defects_answer_bears_the_headers() -> None:
    def lake() -> Lake:
        raise ZeroDivisionError("<b>secret</b>")

    answer = TestClient(page.application(lake), raise_server_exceptions=False).get("/")
    assert (answer.status_code, "secret" in answer.text) == (500, False)
    assert {k: answer.headers[k] for k in page.HEADERS} == page.HEADERS


def test_an_address_of_no_page_says_so(client: TestClient) -> None:
    for address in ("/docs", "/openapi.json", "/redoc", "/no/such/page"):
        assert client.get(address).status_code == 404, address
    for address, place in (
        ("/tables/", "/tables"),
        ("///elsewhere.example", "/elsewhere.example"),
        ("/models/", "/models"),
        (f"/models/{INVERSE}/", f"/models/{INVERSE}"),
    ):
        answer = client.get(f"http://testserver{address}", follow_redirects=False)
        assert answer.headers["location"] == place
    assert client.get("/tables/", follow_redirects=True).status_code == 200


def test_nothing_of_a_page_comes_from_elsewhere_or_from_a_row(client: TestClient) -> None:
    for address in PAGES:
        text = client.get(address).text
        scripts = re.findall(r"<script[^>]*>", text)
        assert scripts == ['<script src="/static/page.js">'], address
        places = re.findall(r'(?:src|href)="([^"]*)"', text)
        assert all(p[:1] in "/?#" or p.startswith(("days/", "data:,")) for p in places), address
        assert " style=" not in text  # the policy forbids it
    assert "url(" not in client.get("/static/page.css").text


# -- a lake that cannot be read --------------------------------------------------------------------


def broken_log(root: Path) -> None:
    for commit in (root / "silver/snippets/_delta_log").glob("*.json"):
        commit.write_text("not JSON")


def lost_file(root: Path) -> None:
    next((root / "silver/snippets").rglob("*.parquet")).unlink()


@pytest.mark.parametrize("damage", [broken_log, lost_file])
def test_a_damaged_table_is_named_and_the_others_are_shown(lake: Lake, damage: Any) -> None:
    fill(lake)
    damage(Path(lake.root))
    client = TestClient(page.application(lambda: Lake(lake.root)))
    answer = client.get("/tables/silver.snippets/rows")
    assert answer.status_code == 503
    assert "What to do" in answer.text
    listed = client.get("/tables")
    assert listed.status_code == 200
    assert "ops.job_runs" in listed.text
    assert ("silver.snippets cannot be read" in words(listed.text)) == (damage is broken_log)


def test_a_finding_whose_version_was_vacuumed_shows_its_ids_alone(lake: Lake) -> None:
    fill(lake)
    of_old = [Path(uri) for uri in lake.open(SNIPPETS).file_uris()]  # type: ignore[union-attr]
    lake.sync(SNIPPETS, [], {"ds": SECOND}, "r")
    next(f for f in of_old if f"ds={SECOND}" in str(f)).unlink()  # as a vacuum does
    client = TestClient(page.application(lambda: lake))
    for address in ("/gates", f"/days/{SECOND}"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert "rows that failed s2" in words(answer.text)
        assert "were vacuumed, or are lost" in answer.text


def test_a_lake_that_was_begun_anew_is_opened_anew(lake: Lake) -> None:
    fill(lake)
    client = TestClient(page.application(lambda: Lake(lake.root)))
    assert client.get("/").status_code == 200
    shutil.rmtree(lake.root)
    Lake(lake.root).upsert(JOB_RUNS, [run("ingest", FIRST, "done", 0)], "r")
    assert client.get("/").status_code == 503  # it was open at a version that is not there
    assert client.get("/").status_code == 200


def test_settings_that_are_wrong_are_a_page_that_says_so() -> None:
    def lake() -> Lake:
        raise UserError("unknown profile 'tny'; allowed: paper, tiny")

    answer = TestClient(page.application(lake)).get("/")
    assert answer.status_code == 503
    assert "unknown profile &#39;tny&#39;; allowed: paper, tiny" in answer.text


# -- to and from the scheduler ---------------------------------------------------------------------


@pytest.fixture
def scheduled(filled: Lake) -> Iterator[TestClient]:
    def run_of(flow: str, day: dt.date) -> str | None:
        return "manual__1+0" if (flow, day) == ("instructions", FIRST) else None

    def day_of(flow: str, run_id: str) -> dt.date | None:
        return FIRST if (flow, run_id) == ("instructions", "manual__1+0") else None

    def end_of(flow: str, run_id: str, task: str, index: int) -> tuple[int, int] | None:
        assert (flow, run_id) == ("instructions", "manual__1+0")
        return {("choose", -1): (2, 17), ("generate_shares", 0): (1, 0)}.get((task, index))

    scheduler: Any = SimpleNamespace(prefix="/air", run_of=run_of, day_of=day_of, end_of=end_of)
    app = page.application(lambda: filled, scheduler=scheduler)
    yield TestClient(app, follow_redirects=False)


@pytest.mark.parametrize(
    ("stage", "task"),
    [("judge", "generate"), ("choose", "choose?try_number=2#17"),
     ("judge_0-of-2", "generate_shares/mapped/0?try_number=1#0"),
     ("judge_11-of-12", "generate_shares/mapped/11")],
)  # fmt: skip
def test_a_stage_leads_to_its_task(scheduled: TestClient, stage: str, task: str) -> None:
    answer = scheduled.get(f"/log/{FIRST}/{stage}")
    place = f"/air/dags/instructions/runs/manual__1%2B0/tasks/{task}"
    assert (answer.status_code, answer.headers["location"]) == (307, place)
    assert scheduled.get(f"/log/{SECOND}/{stage}").status_code == 404


def test_a_task_leads_to_its_stage_and_a_run_to_its_day(scheduled: TestClient) -> None:
    asked = "/runs/instructions/manual__1%2B0"
    places = [scheduled.get(asked + t).headers["location"] for t in ("", "/generate", "/choose")]
    assert places == [f"/days/{FIRST}{anchor}" for anchor in ("", "#summarize", "#choose")]
    assert scheduled.get("/runs/corpus/manual__1%2B0").status_code == 404


def test_every_stage_of_a_page_has_its_log(scheduled: TestClient) -> None:
    text = scheduled.get(f"/days/{FIRST}").text
    for stage in ("ingest", "extract", "summarize"):
        assert f'<a class="out" href="/log/{FIRST}/{stage}">' in text


# -- how values are written ------------------------------------------------------------------------


def test_values_are_written_for_people() -> None:
    now = dt.datetime(2026, 11, 3, tzinfo=dt.UTC)
    assert [drawing.number(n) for n in (None, 0, 1234567)] == ["", "0", "1\u202f234\u202f567"]
    assert [drawing.size(n) for n in (0, 999, 1500, 2.5e9, 3e13)] == [
        "0 B", "999 B", "1.5 kB", "2.5 GB", "30.0 TB"]  # fmt: skip
    assert [drawing.money(x) for x in (0, 0.00001, 0.0123, 12.5, 1234)] == [
        "$0", "<$0.0001", "$0.012", "$12.50", "$1,234.00"]  # fmt: skip
    ages = [dt.timedelta(seconds=s) for s in (-5, 30, 600, 7300, 500000)]
    assert [drawing.age(now - a, now) for a in ages] == [
        "0 s ago", "30 s ago", "10 min ago", "2 h ago", "6 days ago"]  # fmt: skip
    assert drawing.cell("x" * 1000).endswith("… (1000 characters)")
    assert drawing.cell(b"abc") == "3 bytes"


def test_every_table_has_its_page(lake: Lake) -> None:
    for table in TABLES.values():
        lake.create(table)
    client = TestClient(page.application(lambda: lake))
    for name, table in TABLES.items():
        text = client.get(f"/tables/{name}").text
        assert all(column.name in text for column in table.columns), name
        assert client.get(f"/tables/{name}/rows").status_code == 200, name
