"""What Spark is told of a lake on a store: where it is, by AWS's variables; never a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse import jars, services
from lakehouse.errors import UserError
from lakehouse.settings import Settings, load
from lakehouse.spark import conf, server, session

KEYS = {"AWS_ACCESS_KEY_ID": "the-key", "AWS_SECRET_ACCESS_KEY": "the-secret"}
S3A = "spark.hadoop.fs.s3a."


@pytest.fixture
def on_a_store(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        **KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9000", "AWS_DEFAULT_REGION": "eu-1",
        "LAKE_ROOT": "s3a://bucket/lake",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return load("tiny")


def told(settings: Settings) -> dict[str, str]:
    return {k.removeprefix(S3A): v for k, v in conf(settings).items() if k.startswith(S3A)}


def test_the_store_is_the_one_of_the_environment(
    on_a_store: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = told(on_a_store).pop("aws.credentials.provider")
    assert keys.startswith("software.amazon.awssdk")
    assert told(on_a_store) == {
        "aws.credentials.provider": keys, "path.style.access": "true",
        "endpoint": "http://127.0.0.1:9000", "endpoint.region": "eu-1",
    }  # fmt: skip
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example")
    assert told(on_a_store)["endpoint"] == "https://s3.example"
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert told(on_a_store) == {"aws.credentials.provider": keys, "endpoint.region": "eu-1"}


def test_a_lake_on_disk_needs_none_of_it(on_a_store: Settings, tmp_path: Path) -> None:
    assert told(load("tiny", [f"lake.root={tmp_path}"])) == {}
    assert jars.needed(str(tmp_path)) == ("delta",)


def test_a_server_has_the_jars_and_its_command_no_key(
    on_a_store: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jars, "FOLDER", tmp_path)
    for path in (*jars.pins("delta"), *jars.pins("s3")):
        (tmp_path / Path(path).name).touch()
    argv, env = server(on_a_store, 15002)
    given = argv[argv.index("--jars") + 1].split(",")
    assert sorted(map(Path, given)) == sorted(tmp_path.iterdir())
    assert f"{S3A}endpoint=http://127.0.0.1:9000" in argv
    noted = str(services.conf(on_a_store))
    assert not [key for key in KEYS.values() if key in noted or key in str(argv)]
    assert KEYS.items() <= env.items()  # where it looks for them


def test_jars_that_are_missing_name_the_command(
    on_a_store: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jars, "FOLDER", tmp_path)
    for path in jars.pins("delta"):
        (tmp_path / Path(path).name).touch()
    assert jars.paths(str(tmp_path))
    with pytest.raises(UserError, match=r"hadoop-aws.*: run `python -m lakehouse\.jars s3`"):
        session(on_a_store, "a job")
    with pytest.raises(UserError, match=r"python -m lakehouse\.jars s3"):
        server(on_a_store, 15002)
