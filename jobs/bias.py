"""silver.judgements -> ops.judge_checks: what a judge's scores go by beside the pair itself.

    python -m jobs.bias --profile smollm2 --against paper --pairs 200

*Length*: Spearman's correlation of the score with the tokens that the teacher wrote, over all
candidates of the profile's teacher and prompts, and within snippets (both less their snippet's
mean: that is what the choice sees). *Position*: the mean difference of the score when `--against`,
another prompt profile that shows instruction and code in the other order, asks the same questions
about the same pairs. Its answers are asked for and kept in silver.judgements, as its own judge's.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from jobs import report
from jobs.judge import judge, judge_id, judgements, unanswered, usable
from jobs.measures import NAMES, Estimate, check, mean_difference, spearman
from jobs.scope import Scope
from jobs.summarize import batched_list
from lakehouse.command import configure_logging
from lakehouse.delta import Lake
from lakehouse.errors import LakeError, UserError, translated
from lakehouse.scorers import YES_NO
from lakehouse.settings import Settings, load
from lakehouse.tables import CANDIDATES, JUDGE_CHECKS, JUDGEMENTS

Row = dict[str, Any]
COMPARED = ("score", "completion_tokens")


def length(rows: Sequence[Row]) -> dict[str, Estimate]:
    """Correlation of `score` and `completion_tokens`: over all, and within `snippet_id`s."""
    by_snippet: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_snippet[row["snippet_id"]].append(row)
    several = [group for group in by_snippet.values() if len(group) > 1]
    score, tokens = ([r[column] for r in rows] for column in COMPARED)
    score_in, tokens_in = (
        [x for group in several for x in centred(group, column)] for column in COMPARED
    )
    return {"length": spearman(score, tokens),
            "length within a snippet": spearman(score_in, tokens_in, len(several))}  # fmt: skip


def centred(rows: Sequence[Row], column: str) -> list[float]:
    """The column's values less their mean."""
    mean = sum(r[column] for r in rows) / len(rows)
    return [r[column] - mean for r in rows]


def days(settings: Settings, lake: Lake) -> Iterator[tuple[Scope, list[Row]]]:
    """Every day that the profile's teacher and prompts have written for, and what is usable."""
    for day in sorted(set(lake.read(CANDIDATES, columns=["ds"])["ds"].to_pylist())):
        scope = Scope(settings, lake, day)
        if rows := usable(scope):
            yield scope, rows


def answered(scope: Scope, question: str, rows: Sequence[Row]) -> dict[str, float]:
    """The judge's scores of these candidates, by id."""
    found = judgements(scope, question, [r["candidate_id"] for r in rows])
    return {r["candidate_id"]: r["score"] for r in found if r["score"] is not None}


def asked(scope: Scope, question: str, rows: Sequence[Row], run_id: str) -> dict[str, float]:
    """The same, once the judge has been asked what it has not answered."""
    missing = unanswered(scope, question, rows)
    for batch in batched_list(missing, scope.settings.summarize.batch):
        scope.lake.upsert(JUDGEMENTS, judge(scope, question, batch)[0], run_id)
    return answered(scope, question, rows)


def measure(settings: Settings, against: str = "", pairs: int = 200) -> list[Row]:
    """Rows of ops.judge_checks, which are kept; UserError where nothing has been judged."""
    lake, run_id = Lake(settings.lake.root), uuid.uuid4().hex[:16]
    written = list(days(settings, lake))
    checks = []
    for question in settings.judge.questions:
        judged: list[Row] = []
        for scope, rows in written:
            scores = answered(scope, question, rows)
            judged += [{**r, "score": scores[r["candidate_id"]]}
                       for r in rows if r["candidate_id"] in scores]  # fmt: skip
        if not judged:
            raise UserError(f"nothing in {lake.root} is judged under this profile's teacher and "
                            f"prompts by {question!r}; run generate first")  # fmt: skip
        ours = judge_id(written[0][0])
        checks += [check(name, ours, question, found) for name, found in length(judged).items()]
        if against and question in YES_NO:
            other = of_other_order(written, question, judged, against, pairs, run_id)
            checks.append(check(f"position against {against}", ours, question, other))
    lake.upsert(JUDGE_CHECKS, checks, run_id)
    return checks


def of_other_order(
    written: Sequence[tuple[Scope, list[Row]]], question: str, judged: Sequence[Row],
    against: str, pairs: int, run_id: str,
) -> Estimate:  # fmt: skip
    """Ours less the other profile's scores of the same pairs, those of lowest id."""
    ours = {r["candidate_id"]: r["score"] for r in judged}
    chosen = set(islice(sorted(ours), pairs))
    theirs: dict[str, float] = {}
    for scope, rows in written:
        model = scope.settings.model.model_copy(update={"prompts": against})
        other = Scope(scope.settings.model_copy(update={"model": model}), scope.lake, scope.day)
        picked = [r for r in rows if r["candidate_id"] in chosen]
        theirs |= asked(other, question, picked, run_id)
    both = sorted(theirs)
    return mean_difference([ours[name] for name in both], [theirs[name] for name in both])


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, keep and print."""
    configure_logging()
    parser = argparse.ArgumentParser(prog="python -m jobs.bias", description=measure.__doc__)
    parser.add_argument("--profile", default="tiny")
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="section.key=value"
    )
    parser.add_argument("--against", default="", metavar="PROMPTS",
                        help="a prompt profile that shows the two in the other order")  # fmt: skip
    parser.add_argument("--pairs", type=int, default=200, help="pairs that it is asked about")
    args = parser.parse_args(argv)
    try:
        with translated():
            settings = load(args.profile, args.set)
            if args.against:
                load(args.profile, [*args.set, f"model.prompts={args.against}"])
            found = measure(settings, args.against, args.pairs)
    except LakeError as error:
        sys.stderr.write(f"bias: {error}\n")
        sys.exit(error.exit_code)
    rows = [[r[name] for name in NAMES] for r in found]
    sys.stdout.write(report.as_text(report.Section("The judge", NAMES, rows)))


if __name__ == "__main__":
    main()
