"""`lake sql`: a query over all tables, as they are or as they were."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from jobs.verbs import printing
from jobs.verbs.declaring import Verbs, a_file, as_json
from lakehouse.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.settings import Settings

_ENDINGS = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".txt": "table", "": "table"}


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "sql", sql, "answer a query over the tables, as they are or as they were",
        about="DuckDB's SQL over tables and views named layer.name. After a table's name VERSION "
        "AS OF n or\nTIMESTAMP AS OF 'YYYY-MM-DD HH:MM:SS' (UTC) is how it was then.",
        examples=(
            '"SELECT instruction, response, score FROM gold.current_pairs ORDER BY score DESC '
            'LIMIT 5"',
            '"SELECT count(*) FROM gold.instruction_pairs VERSION AS OF 2"',
            "\"SELECT count(*) FROM silver.snippets TIMESTAMP AS OF '2026-11-02'\"",
            '"FROM gold.current_pairs" --out pairs.parquet',
            "\"SELECT column_name, comment FROM ops.dictionary WHERE table_name = "
            "'silver.snippets'\" --json",
        ),
    )  # fmt: skip
    parser.add_argument("query", metavar="QUERY", help="SQL; - reads it from standard input")
    parser.add_argument("--format", choices=printing.FORMATS,
                        help="table (the default), ...; of a file else by its ending")  # fmt: skip
    as_json(parser)
    parser.add_argument("--out", metavar="FILE", type=a_file, help="write the answer there")


def sql(args: argparse.Namespace, settings: Settings) -> None:
    """Answer a query."""
    from jobs import queries
    from lakehouse.delta import Lake

    form = args.format or (_of_ending(args.out) if args.out else "table")
    if form == "parquet" and not args.out:
        raise UserError("--format parquet is for a file: add --out FILE.parquet")
    query = _from_input() if args.query == "-" else args.query
    lake = Lake(settings.lake.root)
    if not args.out:
        printing.table(*queries.rows(lake, query), form)
        return
    with printing.placed(args.out) as place:
        if form == "parquet":
            written = queries.into_parquet(lake, query, place)
        else:
            names, found = queries.rows(lake, query)
            with place.open("w", newline="", encoding="utf-8") as file:
                printing.table(names, found, form, file)
            written = len(found)
    sys.stderr.write(f"{written} row{'s' * (written != 1)}: {args.out}\n")


def _of_ending(out: Path) -> str:
    """The format that a file's ending names; UserError where it names none."""
    try:
        return _ENDINGS[out.suffix.lower()]
    except KeyError:
        raise UserError(f"--out {out}: {out.suffix} names no format that is written here; those "
                        f"are {', '.join(filter(None, _ENDINGS))}. Or say which by --format"
                        ) from None  # fmt: skip


def _from_input() -> str:
    try:
        query = sys.stdin.read()
        query.encode()  # bytes that are no text may have been let in as half characters
        return query
    except UnicodeError as error:
        raise UserError(f"standard input is not UTF-8: {error}") from None
