"""What happened, as the tables of docs/faults.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from faulty.setting import Setting

Row = dict[str, Any]


def all_equal(setting: Setting, parts: Sequence[str]) -> bool:
    """Whether every lake that was compared was that of the rebuild."""
    return all(row["equal"] for part in parts for row in _compared(setting, part))


def written(setting: Setting, parts: Sequence[str]) -> str:
    """The report, in Markdown."""
    return "\n".join([
        *_by_stage(_kills(setting, "chain") + _kills(setting, "slow")), "",
        *_by_process(_kills(setting, "chain") + _kills(setting, "slow")), "",
        *_by_service(_kills(setting, "services")), "",
        *_at_once(setting.rows("crowd")), "",
        *_filled(setting.rows("full")), "",
        *_ends(setting, parts), "",
    ])  # fmt: skip


def _kills(setting: Setting, part: str) -> list[Row]:
    return [row for row in setting.rows(part) if row["kind"] == "kill"]


def _compared(setting: Setting, part: str) -> list[Row]:
    return [row for row in setting.rows(part) if row["kind"] == "compared"]


def _by_stage(kills: Sequence[Row]) -> Iterator[str]:
    yield "| stage at work | kills | of all processes | of one | ms after its start |"
    yield "|---|---|---|---|---|"
    for stage in dict.fromkeys(sorted(k["stage"] for k in kills)):
        of_it = [k for k in kills if k["stage"] == stage]
        late = sorted(k["ms"] for k in of_it if k["ms"] is not None)
        whole = sum(k["hit"] == "all" for k in of_it)
        between = f"{late[0]:,} to {late[-1]:,}" if late else ""
        yield f"| {stage} | {len(of_it)} | {whole} | {len(of_it) - whole} | {between} |"
    whole = sum(k["hit"] == "all" for k in kills)
    yield f"| **all** | {len(kills)} | {whole} | {len(kills) - whole} | |"


def _by_process(kills: Sequence[Row]) -> Iterator[str]:
    yield "| killed process | among all | alone | after it alone the command went on |"
    yield "|---|---|---|---|"
    among = Counter(role for k in kills if k["hit"] == "all" for role in k["roles"])
    alone = Counter(role for k in kills if k["hit"] == "one" for role in k["roles"])
    on = Counter(role for k in kills if k["hit"] == "one" and k["then"] == "went on"
                 for role in k["roles"])  # fmt: skip
    for role in sorted(among.keys() | alone.keys()):
        yield f"| {role} | {among[role]} | {alone[role]} | {on[role]} |"


def _by_service(kills: Sequence[Row]) -> Iterator[str]:
    yield "| service | kills | seconds until its other parts had ended | `make up`, seconds |"
    yield "|---|---|---|---|"
    for sort in dict.fromkeys(sorted(k["sort"] for k in kills)):
        of_it = [k for k in kills if k["sort"] == sort]
        down, up = ([k[name] for k in of_it] for name in ("down_seconds", "up_seconds"))
        yield (f"| {sort} | {len(of_it)} | {min(down):.0f} to {max(down):.0f} "
               f"| {min(up):.0f} to {max(up):.0f} |")  # fmt: skip
    yield f"| **all** | {len(kills)} | | |"
    met = Counter(module for k in kills for module in k["working"] or ("no stage",))
    yield "\n| at work meanwhile | kills |\n|---|---|"
    yield from (f"| {module} | {met[module]} |" for module in sorted(met))


def _at_once(rows: Sequence[Row]) -> Iterator[str]:
    yield "| who | days, in this order | exit codes | stages that ran |"
    yield "|---|---|---|---|"
    runs = [row for row in rows if row["kind"] == "run"]
    for who in dict.fromkeys(row["who"] for row in runs):
        of_it = sorted((r for r in runs if r["who"] == who), key=lambda r: (r["place"], r["try"]))
        days = " ".join(r["day"][-2:] for r in of_it)
        codes = " ".join(str(r["code"]) for r in of_it)
        yield f"| {who} | {days} | {codes} | {' '.join(str(r['ran']) for r in of_it)} |"


def _filled(rows: Sequence[Row]) -> Iterator[str]:
    yield "| the disk was filled at | bytes left | exit code | said |"
    yield "|---|---|---|---|"
    for row in rows:
        if row["kind"] == "filled":
            said = row["said"].replace("|", " ")[:90]
            yield f"| {row['stage']} {row['day']} | {row['left_bytes']} | {row['code']} | {said} |"


def _ends(setting: Setting, parts: Sequence[str]) -> Iterator[str]:
    yield ("| lake | tables | rows | rows that differ | books and files | left running "
           "| stages redone at the end | then |")  # fmt: skip
    yield "|---|---|---|---|---|---|---|---|"
    for part in parts:
        for row in _compared(setting, part):
            name = f"{part} {row.get('round', '')}".strip()
            apart = sum(counts[2] for counts in row["differ"].values())
            yield (f"| {name} | {row['tables']} | {row['rows']:,} | {apart} "
                   f"| {len(row['faults']) or 'right'} | {len(row['left'])} | {row['redone']} "
                   f"| {row['again']} |")  # fmt: skip
