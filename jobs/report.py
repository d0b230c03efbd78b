"""What a lake's newest runs did, as sections of tables: for the terminal and for one HTML page."""

from __future__ import annotations

import base64
import html
import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from jobs.layout import aligned, plain
from jobs.queries import dicts, rows
from lakehouse.delta import Lake
from lakehouse.settings import Settings

TEMPLATE = Path(__file__).with_name("report.html")
_NEWEST = """(SELECT * FROM ops.job_runs WHERE status = 'done' QUALIFY row_number() OVER
    (PARTITION BY stage, ds ORDER BY finished_at DESC) = 1)"""
ASYMMETRY = (
    "Disclosure: the tiny world is built so that the method can work in minutes. Its base model "
    "was trained on functions followed by their explanation (about 21,000 in profile tiny), so it "
    "reads code better than it writes it; whoever still had those documents could reverse them "
    "into pairs and would do better. The gain shows the method in a constructed low-data world; it "
    "is no replication of the paper's results with 7B models."
)
GAINS = """(SELECT *, coalesce(control_arm, 'control') AS control FROM gold.evaluation_scores
    WHERE contains(metric, '_gain_over_') QUALIFY row_number() OVER
    (PARTITION BY arm, benchmark, metric ORDER BY written_at DESC) = 1)"""
ATTRIBUTED = """(SELECT * FROM gold.attributions QUALIFY row_number() OVER
    (PARTITION BY training_set_id, arm, left_out_by, left_out, benchmark, seeds > 1
    ORDER BY written_at DESC) = 1 AND training_set_id = first_value(training_set_id) OVER
    (PARTITION BY arm, left_out_by, benchmark ORDER BY written_at DESC))"""
DECISIONS = """SELECT model_id, promoted, kind, decided_by, decided_at, reason FROM ops.promotions
    ORDER BY decided_at"""
PARTS = "What parts of the training data moved"
HOW_TO_READ = (
    "A gain is pass@1 of the arm minus that of its control on the same tasks, in points, with its "
    "95% interval; one seed: these two models, several: the way of training. p is corrected by "
    'Holm over the suites of a comparison. "not told apart" is no proof of being equal: `lake '
    "power` says what a difference takes to be found."
)
HOW_TO_READ_PARTS = (
    "What a part of the self-generated pairs moved is pass@1 of the arm minus that of the same arm "
    "trained without the part, for as many steps: the rest is seen more often instead. p is "
    "corrected by Holm over all parts. One seed: these two models, which two seeds of the same "
    "training may differ by, too; several: the way of training."
)
_POINTS = """format('{:+.1f} ({:+.1f} to {:+.1f})', 100 * value, 100 * ci_low, 100 * ci_high)
    AS "points (95%)", CASE WHEN p_holm < 0.0001 THEN 'below 0.0001'
    ELSE format('{:.4f}', p_holm) END AS p_after_holm"""
SECTIONS: tuple[tuple[str, str], ...] = (
    ("Gains over controls", f"""SELECT arm, control,
        benchmark || replace(regexp_extract(metric, ':t[^_]+'), ':t', ' at temperature ')
            AS benchmark, {_POINTS},
        CASE WHEN ci_low > 0 AND p_holm <= 0.05 THEN 'higher' WHEN ci_high < 0 THEN 'lower'
        ELSE 'not told apart' END AS says, n AS tasks, seeds, model_id, control_model_id
        FROM {GAINS} ORDER BY benchmark, arm, control, seeds"""),
    (PARTS, f"""SELECT left_out_by AS "by", left_out AS part, pairs, benchmark, {_POINTS},
        CASE WHEN p_holm > 0.05 OR ci_low <= 0 AND ci_high >= 0 THEN 'not told apart'
        WHEN ci_low > 0 THEN 'helped' ELSE 'harmed' END AS says, n AS tasks, seeds, seed,
        training_set_id, model_id, without_model_id
        FROM {ATTRIBUTED} ORDER BY left_out_by, benchmark, left_out, seeds"""),
    ("Scores", """SELECT arm, benchmark, metric, round(100 * value, 1) AS percent,
        round(100 * ci_low, 1) AS low_95, round(100 * ci_high, 1) AS high_95, n AS tasks, model_id
        FROM gold.evaluation_scores WHERE NOT contains(metric, '_gain_over_')
        QUALIFY row_number() OVER
        (PARTITION BY arm, benchmark, metric ORDER BY written_at DESC) = 1
        ORDER BY benchmark, metric, arm"""),
    ("Promotion", f"""SELECT * FROM ({DECISIONS}) QUALIFY row_number() OVER
        (PARTITION BY model_id ORDER BY decided_at DESC) = 1 ORDER BY decided_at DESC"""),
    ("Rows by stage and day", f"""SELECT stage, ds, rows_in, rows_kept, rows_rejected,
        prompt_tokens + completion_tokens AS tokens, round(seconds, 1) AS seconds FROM {_NEWEST}
        ORDER BY ds, started_at"""),
    ("Duplicates", """SELECT source, method, count(*) AS documents,
        round(min(similarity), 3) AS least_similarity FROM silver.duplicates
        GROUP BY ALL ORDER BY ALL"""),
    ("Originals that became duplicates of an older document", """SELECT taken_over_ds AS older_day,
        ds AS day, count(*) AS documents, max(noticed_at) AS noticed_at FROM ops.takeovers
        GROUP BY ALL ORDER BY ALL"""),
    ("Rejected rows by reason", """SELECT stage, reason, count(*) AS "rows", any_value(remedy)
        AS remedy FROM ops.rejected_rows GROUP BY stage, reason ORDER BY stage, "rows" DESC"""),
    ("Benchmark material", """SELECT benchmark, method, row_kind, count(DISTINCT row_id) AS "rows",
        count(DISTINCT row_id) FILTER (WHERE verdict = 'clean') AS judged_clean
        FROM ops.contamination_hits GROUP BY ALL ORDER BY ALL"""),
    ("Published pairs", """SELECT ds, source, count(*) AS pairs, round(avg(score), 3) AS mean_score,
        round(avg(yes_no_score), 3) AS mean_yes_no FROM gold.instruction_pairs
        GROUP BY ALL ORDER BY ALL"""),
    ("Calibration against execution", """SELECT judge_id, question, "check",
        round(value, 3) AS value, round(ci_low, 3) AS low_95, round(ci_high, 3) AS high_95, n
        FROM ops.judge_checks
        WHERE "check" LIKE 'execution%' ORDER BY judge_id, question, "check" """),
    ("Cost", """WITH spent AS (SELECT sum(cost) AS usd, sum(prompt_tokens + completion_tokens)
        AS tokens FROM ops.job_runs WHERE stage IN ('summarize', 'judge', 'roundtrip')),
        made AS (SELECT count(*) AS pairs FROM gold.instruction_pairs)
        SELECT pairs, tokens, round(tokens / greatest(pairs, 1), 1) AS tokens_per_pair,
        usd, usd / greatest(pairs, 1) AS usd_per_pair FROM spent, made"""),
    ("Gates", """SELECT ds, table_name, table_version, count(*) AS expectations,
        count_if(NOT success) AS failed,
        count_if(NOT success AND severity = 'critical') AS failed_critical
        FROM ops.quality_results GROUP BY run_id, ds, table_name, table_version
        ORDER BY ds, table_name, table_version"""),
    ("Where the time went", f"""SELECT stage, count(*) AS days, round(sum(seconds), 1) AS seconds
        FROM {_NEWEST} GROUP BY stage ORDER BY seconds DESC"""),
    # scores of different teachers, or by different scorers, are not comparable
    ("Best and worst pairs", """WITH ranked AS (SELECT *,
        row_number() OVER (PARTITION BY model_id, scorer ORDER BY score DESC, pair_id) AS top,
        row_number() OVER (PARTITION BY model_id, scorer ORDER BY score, pair_id) AS bottom
        FROM gold.instruction_pairs) SELECT model_id AS teacher, scorer, round(score, 3) AS score,
        instruction, response, source FROM ranked WHERE top <= 5 OR bottom <= 5
        ORDER BY model_id, scorer, score DESC"""),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Section:
    """A titled table, and a remark where the numbers need one."""

    title: str
    names: Sequence[str]
    rows: Sequence[Sequence[Any]]
    remark: str = ""


def sections(lake: Lake, settings: Settings) -> list[Section]:
    """Every section of the report, from the lake's tables alone."""
    found = []
    for title, query in SECTIONS:
        names, held = rows(lake, query)
        remark = ""
        if title == "Gains over controls":
            tiny = "tiny_world" in settings.evaluation.benchmarks
            remark = f"{HOW_TO_READ} {ASYMMETRY}" if tiny else HOW_TO_READ
        elif title == PARTS:
            remark = HOW_TO_READ_PARTS
        elif title == "Calibration against execution":
            remark = _signals([dict(zip(names, row, strict=True)) for row in held])
        found.append(Section(title, names, held, remark))
    return found


def _signals(checked: Sequence[dict[str, Any]]) -> str:
    """In words, what each judge's score says of execution."""
    from jobs import calibrate  # numbers in bulk: `lake sql` need not wait for that

    return " ".join(
        f"{r['question']} by {r['judge_id']}: {calibrate.signal(r['low_95'], r['high_95'])} about "
        f"{what} (AUC {r['value']}, {_interval(r['low_95'], r['high_95'])}, chance is 0.5)."
        for name, what in calibrate.AUCS.items()
        for r in checked if r["check"] == name
    )  # fmt: skip


def _interval(low: float | None, high: float | None) -> str:
    return "no interval" if low is None else f"95% {low} to {high}"


def as_text(section: Section, bound: int | None = None) -> str:
    """An aligned table under its title, in lines of at most so many characters."""
    lines = [section.title, "-" * len(section.title)]
    lines += aligned(section.names, section.rows, bound)
    if not section.rows:
        lines.append("(no rows yet)")
    return "\n".join([*lines, *textwrap.wrap(section.remark, min(bound or 100, 100)), ""])


def as_html(lake: Lake, found: Sequence[Section]) -> str:
    """The report as one self-contained page."""
    return page("report", f"What the newest runs of this lake did: {lake.root}", found,
                figures(lake))  # fmt: skip


Picture = tuple[str, str]
"""(title, PNG as a data URI)."""


def page(title: str, lead: str, found: Sequence[Section], pictures: Sequence[Picture]) -> str:
    """One self-contained page: tables, and plots as embedded pictures."""
    body = []
    for section in found:
        head = "".join(f"<th>{html.escape(n)}</th>" for n in section.names)
        lines = "".join(
            "<tr>" + "".join(f"<td>{html.escape(plain(v))}</td>" for v in row) + "</tr>"
            for row in section.rows
        )
        empty = "" if section.rows else "<p>No rows yet.</p>"
        remark = f'<p class="remark">{html.escape(section.remark)}</p>' if section.remark else ""
        body.append(
            f"<section><h2>{html.escape(section.title)}</h2>{remark}"
            f'<div class="wide"><table><tr>{head}</tr>{lines}</table></div>{empty}</section>'
        )
    plots = "".join(f'<img alt="{html.escape(t)}" src="{p}">' for t, p in pictures)
    return Template(TEMPLATE.read_text()).substitute(
        title=html.escape(title), lead=html.escape(lead), body="".join(body), plots=plots
    )


def picture(title: str, draw: Callable[[Any], None], height: float = 3.2) -> Picture:
    """What `draw` draws on the axes that it is given; inches."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, height), dpi=110)
    draw(axes)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", bbox_inches="tight")
    pyplot.close(figure)
    return title, f"data:image/png;base64,{base64.b64encode(drawn.getvalue()).decode()}"


def figures(lake: Lake) -> list[Picture]:
    """Gains, scores, candidates against chosen, loss, reliability."""
    from jobs.calibrate import judged_by_execution

    gains = dicts(lake, f"SELECT * FROM {GAINS} ORDER BY benchmark DESC, arm DESC, control DESC")
    scores = dicts(lake, """SELECT arm, benchmark, value, ci_low, ci_high
        FROM gold.evaluation_scores WHERE metric = 'pass@1' QUALIFY row_number() OVER
        (PARTITION BY arm, benchmark ORDER BY written_at DESC) = 1
        ORDER BY benchmark, arm""")  # fmt: skip
    judged = dicts(lake, """SELECT j.score, p.candidate_id IS NOT NULL AS chosen
        FROM silver.judgements j LEFT JOIN gold.instruction_pairs p USING (candidate_id)
        WHERE j.score IS NOT NULL AND j.question = coalesce((SELECT CASE any_value(scorer) WHEN
        'conditional_likelihood' THEN 'likelihood' WHEN 'execution' THEN 'execution'
        ELSE 'correct' END FROM gold.instruction_pairs), 'correct')
        USING SAMPLE 20000 ROWS""")  # fmt: skip
    steps = dicts(lake, """SELECT r.arm, s.step, s.loss FROM ops.training_steps s
        JOIN ops.training_runs r USING (training_run_id) WHERE NOT contains(r.arm, '-without-')
        ORDER BY r.arm, s.step""")  # fmt: skip
    executed = judged_by_execution(lake)
    drawings: tuple[tuple[str, Callable[[Any], None]], ...] = (
        ("Gain over the control, points with 95% intervals", lambda ax: _draw_gains(ax, gains)),
        ("pass@1 with 95% intervals", lambda ax: _draw_scores(ax, scores)),
        ("Scores of all candidates and of the chosen", lambda ax: _draw_judged(ax, judged)),
        ("Training loss, nats a token", lambda ax: _draw_loss(ax, steps)),
        ("Score against execution", lambda ax: draw_reliability(ax, executed)),
    )
    return [picture(title, draw) for title, draw in drawings]


def _draw_gains(axes: Any, gains: Sequence[dict[str, Any]]) -> None:
    for place, g in enumerate(gains):
        axes.errorbar(100 * g["value"], place, fmt="o", capsize=4, color="C0", xerr=[
            [100 * (g["value"] - g["ci_low"])], [100 * (g["ci_high"] - g["value"])]])  # fmt: skip
    axes.set_yticks(range(len(gains)), [
        f"{g['arm']} - {g['control']}, {g['benchmark']}"
        + (f", {g['seeds']} seeds" if (g["seeds"] or 1) > 1 else "") for g in gains
    ], fontsize=8)  # fmt: skip
    axes.set_ylim(-0.7, max(len(gains), 1) - 0.3)
    axes.axvline(0, color="gray", lw=0.8)
    axes.set_xlabel("points")


def _draw_scores(axes: Any, scores: Sequence[dict[str, Any]]) -> None:
    for place, s in enumerate(scores):
        axes.errorbar(place, 100 * s["value"], fmt="o", capsize=5, yerr=[
            [100 * (s["value"] - s["ci_low"])], [100 * (s["ci_high"] - s["value"])]])  # fmt: skip
    axes.set_xticks(range(len(scores)), [f"{s['arm']}\n{s['benchmark']}" for s in scores])
    axes.set_xlim(-0.7, max(len(scores), 1) - 0.3)
    axes.set_ylim(0, 100)
    axes.set_ylabel("%")


def _draw_judged(axes: Any, judged: Sequence[dict[str, Any]]) -> None:
    if judged:
        axes.hist([j["score"] for j in judged], bins=40, range=(0, 1), density=True, alpha=0.5,
                  label="candidates")  # fmt: skip
        axes.hist([j["score"] for j in judged if j["chosen"]], bins=40, range=(0, 1),
                  density=True, alpha=0.5, label="chosen")  # fmt: skip
        axes.legend(frameon=False)


def _draw_loss(axes: Any, steps: Sequence[dict[str, Any]]) -> None:
    for arm in dict.fromkeys(s["arm"] for s in steps):
        mine = [s for s in steps if s["arm"] == arm]
        axes.plot([s["step"] for s in mine], [s["loss"] for s in mine], lw=0.8, label=arm)
    if steps:
        axes.legend(frameon=False)


def draw_reliability(
    axes: Any, executed: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
) -> None:
    """Share of candidates that execution finds right, by score, with 95% intervals."""
    from jobs.measures import reliability

    for (judge_id, question), scored in sorted(executed.items()):
        bins = reliability([r["score"] for r in scored], [r["solved"] for r in scored])
        shares = [100 * b.right.value for b in bins]
        ends = [[100 * (b.right.value - b.right.low) for b in bins],
                [100 * (b.right.high - b.right.value) for b in bins]]  # fmt: skip
        axes.errorbar([b.mean_score for b in bins], shares, yerr=ends, fmt="o-", lw=0.8,
                      capsize=3, label=f"{question} ({judge_id.partition('/')[0]})")  # fmt: skip
    if executed:
        axes.legend(frameon=False, fontsize=7)
    axes.set_xlabel("score")
    axes.set_ylabel("% that do the same on all calls")
