"""The only builder of Spark sessions, and the one way in and out of Delta for Spark.

With `SPARK_REMOTE` set the session is a Spark Connect client (a shared server, a cluster);
otherwise a classic one in this process. Nothing else in the project knows which. So everything is
DataFrames and SQL: no RDD, no `_jvm`, no `delta.DeltaTable`.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import uuid
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from lakehouse import jars, stores
from lakehouse.errors import ServiceError, UserError
from lakehouse.extras import lacking
from lakehouse.settings import Settings
from lakehouse.tables import Table
from lakehouse.urls import spark_server

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.delta import Lake

_CLOSED, _NO_JVM = "INVALID_HANDLE.SESSION_CLOSED", "JAVA_GATEWAY_EXITED"
_RETRIES = 6
"""Of a call that the server does not answer, over some 70 s; Spark's own 15 take ten minutes."""
_FEW_FILES = 32
"""Files that Spark lists itself; of more it makes a job."""
_PATTERN = re.compile(r"[{}\[\]*?\\%]")
"""What Spark takes in a path for more than itself."""
_LONG = 500
"""Characters of a row from which it counts as several (`few`)."""
_KEYS = "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider"
_ALONE = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
"""Without a cluster the driver talks to itself: not over whatever the host's name means today."""
_QUICK_START = {
    # Without the second compiler Java keeps 48 MB for what the first has made, and Spark fills it:
    # then code is thrown out and compiled again for ever. And each time that the classes outgrow
    # their first 20 MB the whole heap is collected: five times, 0.9 s.
    "spark.driver.extraJavaOptions":
        "-XX:-UsePerfData -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m "
        "-XX:MetaspaceSize=192m",
    # Few rows are through before the Java that would be written for each expression is compiled.
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # Nor is there anything to win by planning anew after every shuffle (11% of the JVM's time).
    "spark.sql.adaptive.enabled": "false",
}  # fmt: skip


def conf(settings: Settings) -> dict[str, str]:
    """What every session of ours is configured with, classic or behind a server."""
    master = settings.spark.master or "local[*]"
    return {
        "spark.master": master,
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(settings.spark.shuffle_partitions),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.python.daemon.module": "lakehouse.python_workers",
        "spark.databricks.delta.snapshotPartitions": "1",
        # Files of so many days are written side by side; only of more is a write sorted by day.
        "spark.sql.maxConcurrentOutputFileWriters": "16",
        # A run has more queries than the 100 that Spark keeps compiled by default.
        "spark.sql.codegen.cache.maxEntries": "2000",
        # Hashes never repeat: a dictionary of them costs more than writing them.
        "spark.hadoop.parquet.enable.dictionary#bands": "false",
        "spark.hadoop.parquet.enable.dictionary#shingles": "false",
        # A commit whose answer is lost must not be made twice.
        "spark.databricks.delta.commit.idempotencyCheck.enabled": "true",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": settings.spark.memory,
        "spark.driver.extraJavaOptions": "-XX:-UsePerfData",
        **(_ALONE if master.startswith("local") else {}),
        **(_s3a() if jars.is_s3a(settings.lake.root) else {}),
        **(_QUICK_START if settings.spark.quick_start else {}),
    }


def _s3a() -> dict[str, str]:
    """Where Hadoop's S3A finds the store: as delta-rs and Arrow do, by AWS's variables.

    Keys are in none of it: S3A looks for them where the AWS SDK does, first in the environment.
    """
    told = {
        "endpoint": stores.endpoint(),
        "endpoint.region": stores.region(),
        # a store that is not Amazon's has seldom a host name for each bucket
        "path.style.access": "true" if stores.endpoint() else "",
        "aws.credentials.provider": _KEYS,
    }
    return {f"spark.hadoop.fs.s3a.{key}": value for key, value in told.items() if value}


def session(settings: Settings, name: str) -> SparkSession:
    """The session for a job; `name` identifies it, so that a rerun finds what an earlier try left.

    A killed Connect client leaves its work running on the server: the session id is a function of
    `name`, and whatever still runs under it is interrupted first. Raises ServiceError where no
    server answers, or the JVM does not start.
    """
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    for variable, value in {"PYSPARK_PYTHON": sys.executable, **_address(settings)}.items():
        os.environ.setdefault(variable, value)
    given = os.environ.get("SPARK_REMOTE")
    if not given:
        builder = SparkSession.builder.appName(name)
        jars.require_java()
        for key, value in {**conf(settings), "spark.jars": jars.paths(settings.lake.root)}.items():
            builder = builder.config(key, value)
        try:
            spark = builder.getOrCreate()
        except PySparkRuntimeError as error:
            if error.getCondition() != _NO_JVM:
                raise
            raise ServiceError("Spark's JVM ended while it started: run it again; if it happens "
                               f"again the log above says why ({error})") from None  # fmt: skip
        spark.sparkContext.setLogLevel("ERROR")
        return spark
    spark = _connect(spark_server("SPARK_REMOTE", given), name)
    for key in ("spark.sql.session.timeZone", "spark.sql.shuffle.partitions"):
        spark.conf.set(key, conf(settings)[key])
    _interrupt_on_termination(spark)
    return spark


def server(settings: Settings, port: int) -> tuple[list[str], dict[str, str]]:
    """The command and the environment that run a Spark Connect server on a port of this machine."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise UserError(f"{lacking('pyspark')}; LAKE_SPARK_REMOTE names a server elsewhere")
    home = Path(spec.origin).parent
    confs = {
        **conf(settings),
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
    }
    flags = [part for key, value in confs.items() for part in ("--conf", f"{key}={value}")]
    main = "org.apache.spark.sql.connect.service.SparkConnectServer"
    argv = [str(home / "bin" / "spark-submit"), "--class", main, "--jars",
            jars.paths(settings.lake.root), *flags, "spark-internal"]  # fmt: skip
    # spark-submit will not start a server where the environment names one
    env = {name: value for name, value in os.environ.items() if name != "SPARK_REMOTE"}
    return argv, {**_address(settings), **env, "SPARK_HOME": str(home),
                  "PYSPARK_PYTHON": sys.executable,
                  "PYTHONPATH": str(Path(__file__).resolve().parents[1])}  # fmt: skip


def _address(settings: Settings) -> dict[str, str]:
    """Spark's address where it is alone, and nobody has set one: it would ask what the host's name
    means, and that may be nothing."""
    alone = conf(settings)["spark.master"].startswith("local")
    return {"SPARK_LOCAL_IP": "127.0.0.1"} if alone else {}


def _connect(remote: str, name: str) -> SparkSession:
    """The Connect session of that name, with nothing running in it.

    A server ends a session that has been idle for an hour and never takes its id again, so the
    name's ids are a sequence, of which the first that is not closed counts.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession as Connected

    if not _listens(remote):
        raise ServiceError(_nobody(remote, "nobody listens there"))
    for turn in count():
        session_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{name}#{turn}" if turn else name)
        try:
            spark = SparkSession.builder.remote(f"{remote}/;session_id={session_id}").create()
            spark.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES)])
            spark.interruptAll()
        except Exception as error:  # gRPC raises many kinds; all but one: no server is to be had
            if isinstance(error, PySparkException) and error.getCondition() == _CLOSED:
                continue
            raise ServiceError(_nobody(remote, str(error))) from error
        # The first of a process stays the active one, by which checkpoints are looked up.
        Connected._active_session.session = spark
        return spark
    raise AssertionError("count() does not end")


def _nobody(remote: str, reason: str) -> str:
    return (f"no Spark Connect server answers at {remote}: {reason}. "
            "Start it with `make up`, or unset SPARK_REMOTE to run without one")  # fmt: skip


def _listens(remote: str) -> bool:
    place = urlsplit(remote)
    try:
        socket.create_connection((place.hostname or "", place.port or 15002), 5).close()
    except OSError:
        return False
    return True


def lost(spark: SparkSession) -> bool:
    """Whether Spark has ended under this session; if so it is given up, and the next is new."""
    if remote := os.environ.get("SPARK_REMOTE"):
        return not _listens(remote)
    try:
        if not spark.sparkContext._jsc.sc().isStopped():
            return False
        spark.stop()
    except Exception as error:  # py4j raises many kinds when the JVM itself is gone
        structlog.get_logger().error("Spark's JVM is gone", reason=str(error))
    return True


def read(spark: SparkSession, lake: Lake, table: Table, version: int | None = None) -> DataFrame:
    """The table's rows, at a version if one is given."""
    from pyspark.sql import functions as F

    files = _listed(lake, table, version)
    if files is None:
        reader = spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(lake.uri(table))
    if not files:
        nothing = (F.lit(None).cast(c.type).alias(c.name) for c in table.columns)
        return spark.range(1).where("false").select(*nothing)
    schema = ", ".join(f"{c.name} {c.type}" for c in table.columns)
    held = spark.read.schema(schema).option("basePath", lake.uri(table)).parquet(*files)
    return held.select(*table.column_names)  # the partition's comes last


def _listed(lake: Lake, table: Table, version: int | None) -> list[str] | None:
    """The table's data files, where Spark can be given their list in the place of the Delta log.

    It replays a log by jobs of its own, once for each table and version: half of the JVM's time
    where there are few rows. None where there are many files, which Delta's statistics narrow, or
    where a file is more, or less, than its rows (deletion vectors, column mapping).
    """
    held = lake.open(table, version)
    if held is None or held.protocol().min_reader_version > 1:
        return None
    added = held.get_add_actions()
    if added.num_rows > _FEW_FILES:
        return None
    files = [f"{lake.uri(table)}/{path}" for path in added["path"].to_pylist()]
    return None if any(map(_PATTERN.search, files)) else files


def sync(
    spark: SparkSession, lake: Lake, table: Table, rows: DataFrame, run_id: str,
    scope: str | None = None,
) -> None:  # fmt: skip
    """Make the table's rows within `scope` (SQL) exactly `rows`.

    Partitions are compared by a hash of their content (run id and timestamps aside), and only
    those that differ are replaced, in one atomic commit; where none differ nothing is committed.
    `rows` must bear the columns of `table.content` and nothing outside the scope.
    """
    from pyspark.sql import functions as F

    lake.create(table)
    content = typed(rows, table)
    if not lake.is_empty(table):
        content = content.localCheckpoint()  # it is read twice: once to compare, once to write
    with lake.lock(table):
        if lake.is_empty(table):
            _overwrite(lake, table, content, run_id, "", run_id)  # Spark makes no commit of no rows
            return
        held = read(spark, lake, table).where(scope or "true")
        if not (changed := _differing(held, content, table)):
            return
        where = [scope] if scope else []
        part = table.partition
        if part:
            where.append(f"{part} IN ({', '.join(repr(str(v)) for v in changed)})")
            content = content.where(F.col(part).isin(changed))
        _overwrite(lake, table, content, run_id, " AND ".join(where), run_id)


def few(rows: DataFrame, table: Table, most: int) -> pa.Table | None:
    """What the table holds of the rows, if they are fewer than so many; else None.

    A row of more than 500 characters counts as several.
    """
    from pyspark.sql import functions as F

    content = typed(rows, table)
    texts = [F.coalesce(F.sum(F.length(name)), F.lit(0))
             for name, kind in content.dtypes if kind in ("string", "binary")]  # fmt: skip
    size = F.greatest(F.count("*"), sum(texts, F.lit(0)) / _LONG)
    (found,) = content.agg(size.alias("size")).collect()
    return content.toArrow() if found["size"] < most else None


def replace(
    spark: SparkSession, lake: Lake, table: Table, rows: DataFrame, run_id: str,
    scope: str | None = None, note: str = "",
) -> None:  # fmt: skip
    """Put `rows` in the place of the table's rows within `scope`, in one commit with a note.

    For tables that are derived state and whose writer knows that they differ: nothing is compared.
    """
    lake.create(table)
    with lake.lock(table):
        where = "" if lake.is_empty(table) else scope or "true"  # there is nothing to look for
        content = typed(rows, table)
        _overwrite(lake, table, content, run_id, where, f"{run_id} {note}".strip())


def append(spark: SparkSession, lake: Lake, table: Table, rows: DataFrame, run_id: str) -> None:
    """Append the rows whose key the table does not hold yet."""
    lake.create(table)
    with lake.lock(table):
        held = read(spark, lake, table).select(*table.key)
        fresh = typed(rows, table).join(held, list(table.key), "left_anti").localCheckpoint()
        if not fresh.isEmpty():
            _stamped(fresh, table, run_id).write.format("delta").mode("append").option(
                "userMetadata", run_id
            ).save(lake.uri(table))


def typed(rows: DataFrame, table: Table) -> DataFrame:
    """The columns of `table.content`, in the table's types."""
    from pyspark.sql import functions as F

    return rows.select(
        *(
            F.col(c.name).cast(c.type).alias(c.name)
            for c in table.columns
            if c.name in table.content
        )
    )


def _stamped(content: DataFrame, table: Table, run_id: str) -> DataFrame:
    from pyspark.sql import functions as F

    return content.withColumns(
        {"run_id": F.lit(run_id), table.stamp: F.current_timestamp()}
    ).select(*table.column_names)


def _overwrite(
    lake: Lake, table: Table, content: DataFrame, run_id: str, where: str, note: str
) -> None:
    """One atomic commit: the rows in the place of those where, or of all. With the lock held."""
    writer = _stamped(content, table, run_id).write.format("delta").option("userMetadata", note)
    if where:
        writer = writer.option("replaceWhere", where)
    writer.mode("overwrite").save(lake.uri(table))


def _differing(held: DataFrame, content: DataFrame, table: Table) -> list[Any]:
    """The partitions whose rows differ, by a count and an order-free hash of distinct rows."""
    from pyspark.sql import functions as F

    part = F.col(table.partition) if table.partition else F.lit("")
    sides = [
        rows.select(part.alias("part"), F.xxhash64(*table.content).alias("hash"),
                    F.lit(sign).alias("sign"))
        for rows, sign in ((held, -1), (content, 1))
    ]  # fmt: skip
    grouped = (
        sides[0]
        .union(sides[1])
        .groupBy("part")
        .agg(F.sum("sign").alias("more"), F.bit_xor("hash").alias("hash"))
    )
    return sorted(r["part"] for r in grouped.where("more <> 0 OR hash <> 0").collect())


def _interrupt_on_termination(spark: SparkSession) -> None:
    """On SIGTERM stop the server's work for us, then end as before."""
    previous = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: Any) -> None:
        spark.interruptAll()
        if callable(previous):
            previous(number, frame)
        else:
            sys.exit(128 + number)

    signal.signal(signal.SIGTERM, stop)
