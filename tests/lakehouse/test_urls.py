"""What a URL tells of a user or a key is refused where it is given, and masked where it is met."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import structlog

from jobs import sources
from lakehouse import services, spark
from lakehouse.command import configure_logging
from lakehouse.delta import Lake
from lakehouse.errors import ServiceError, UserError, masked, translated
from lakehouse.run import Counts, Run, Stage, execute
from lakehouse.settings import Settings, load
from lakehouse.tables import JOB_RUNS

DAY = dt.date(2026, 11, 1)
WORD = "S3cretPw"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"401 for url: http://me:{WORD}@host/v1?a=b", "401 for url: http://…@host/v1?a=b"),
        (f"'http://me:pa/{WORD}@host/v1' and 'b@c'", "'http://…@host/v1' and 'b@c'"),
        (f"s3a://{WORD}@bucket/x", "s3a://…@bucket/x"),
        (f"postgresql+psycopg2://lake:a@{WORD}@db/x", "postgresql+psycopg2://…@db/x"),
    ],
)
def test_a_user_is_masked_wherever_it_is_met(said: str, told: str) -> None:
    assert masked(said) == told


@pytest.mark.parametrize(
    "text",
    ["s3a://bucket/a@b/x:y@z", "http://127.0.0.1:9000/bucket/a@b", "abfs://box@account/x", "a:b@c",
     "file:///a:b/c@d", "gs://anonymous@bucket/x", "sc://[::1]:15002/x"],
)  # fmt: skip
def test_what_tells_no_secret_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("engine.key_variable=sk-S3cretPw", "name of an environment variable"),
        ("engine.url=sk-S3cretPw@h", r"engine\.key_variable"),
        ("engine.url=http://me:pa/ss@S3cretPw@h", r"engine\.key_variable"),
        ("engine.url=http://h/v1#sk-S3cretPw", r"engine\.key_variable"),
        ("engine.url=http://user:sk S3cretPw@h/v1", r"engine\.key_variable"),
        ("local.path=https://me:S3cretPw@host/x.jsonl", "AWS_SECRET_ACCESS_KEY"),
        ("local.path=s3a://AKIA:a/S3cretPw@bucket/x", "AWS_SECRET_ACCESS_KEY"),
        ("lake.root=s3a://AKIA:S3cret Pw@bucket/x", "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_setting_that_holds_a_secret_is_refused_without_it(override: str, remedy: str) -> None:
    with pytest.raises(UserError, match=remedy) as refused:
        load("tiny", [override], environ={})
    assert not any(part in str(refused.value) for part in ("S3cret", "AKIA", "me:"))


def test_a_source_that_holds_a_secret_is_refused_without_it(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "own.toml").write_text(f'owner = "us"\nwhere = "s3a://AKIA:{WORD}@bucket/x"')
    with pytest.raises(UserError, match=r"where: .*AWS_SECRET_ACCESS_KEY") as refused:
        sources.load(str(tmp_path / "own.toml"), settings)
    assert WORD not in str(refused.value)


@pytest.mark.parametrize("parameter", [f"/;token={WORD}", f"/?{WORD}", f"/{WORD}"])
def test_a_spark_server_is_a_host_and_a_port(
    monkeypatch: pytest.MonkeyPatch, parameter: str
) -> None:
    for url in (f"sc://127.0.0.1:1{parameter}", f"sc://{WORD}@127.0.0.1:1"):
        monkeypatch.setenv("SPARK_REMOTE", url)
        monkeypatch.setenv("LAKE_SPARK_REMOTE", url)
        with pytest.raises(UserError, match="LAKE_SPARK_REMOTE is not sc://HOST:PORT") as refused:
            services.remote()
        assert WORD not in str(refused.value)
        with pytest.raises(UserError, match="SPARK_REMOTE is not sc://HOST:PORT") as refused:
            spark.session(load("tiny"), "x")
        assert WORD not in str(refused.value)
    monkeypatch.setenv("LAKE_SPARK_REMOTE", "sc://[::1]:15002/")
    assert services.remote() == "sc://[::1]:15002"


def test_what_a_library_quotes_is_masked(lake: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    def fail(run: Run) -> Counts:
        raise OSError(f"Generic S3 error: error sending request http://me:{WORD}@127.0.0.1:1/x")

    configure_logging()
    with pytest.raises(ServiceError, match="http://…@127") as raised, translated():
        execute(Stage("fail", fail), DAY, load("tiny", [f"lake.root={lake.root}"]))
    (entered,) = lake.read(JOB_RUNS)["message"].to_pylist()
    assert "http://…@127" in entered
    assert WORD not in entered + str(raised.value)
    structlog.get_logger().error("said", url=f"http://me:{WORD}@h")
    said = "".join(capfd.readouterr())
    assert "http://…@h" in said
    assert WORD not in said
