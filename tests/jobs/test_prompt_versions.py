"""A changed prompt makes new candidates and leaves the old ones queryable; a chat is generated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.queries import dicts
from lakehouse import prompts, tiny_tokenizer
from lakehouse.delta import Lake
from lakehouse.tables import CANDIDATES, JUDGEMENTS, MODELS
from tests.jobs.test_generation import DAY, asked, filled, generate, place
from tests.lakehouse.test_chat_template import CHATML, MARKS

__all__ = ["asked"]  # a fixture
OPENING = prompts.load("oss_instruct").opening


def test_a_changed_word_makes_new_candidates_beside_the_old(
    lake: Lake, asked: list[str], tmp_path: Path
) -> None:
    mine = tmp_path / "mine.toml"
    text = (prompts.FOLDER / "tiny.toml").read_text()
    versions = []
    for words in (text, text.replace("summarize :", "describe :")):
        mine.write_text(words)
        [done, _] = generate(filled(lake), DAY, f"model.prompts={mine}")
        versions.append(prompts.load(str(mine)).version)
        assert done["rows_kept"] == 2
    held = dicts(lake, "SELECT prompt_version, count(DISTINCT candidate_id) AS n, count(*) AS rows "
                       "FROM silver.candidates WHERE status = 'ok' GROUP BY ALL")  # fmt: skip
    assert {r["prompt_version"]: (r["n"], r["rows"]) for r in held} == dict.fromkeys(
        versions, (2, 2)
    )
    judged = dicts(lake, "SELECT judge_id FROM silver.judgements WHERE question = 'correct'")
    assert {r["judge_id"] for r in judged} == {f"t/{version}" for version in versions}
    scores = dicts(lake, "SELECT c.prompt_version, avg(j.score) AS score FROM silver.candidates c "
                         "JOIN silver.judgements j USING (candidate_id) "
                         "WHERE j.question = 'correct' GROUP BY 1")  # fmt: skip
    assert {r["prompt_version"] for r in scores} == set(versions)
    asked.clear()
    mine.write_text(text)  # the old words again: what they wrote is still there
    generate(lake, DAY, f"model.prompts={mine}")
    assert asked == []


def test_an_opening_is_stored_and_the_judge_does_not_see_it(lake: Lake, asked: list[str]) -> None:
    [done, _] = generate(filled(lake), DAY, "model.prompts=oss_instruct")
    assert done["rows_kept"] == 2
    for row in lake.read(CANDIDATES).to_pylist():
        written = row["instruction"].removeprefix(row["prefix"])
        assert row["prefix"].startswith(f"{OPENING}You are ")
        assert written.startswith(" that adds")
        told = row["instruction"].removeprefix(OPENING)
        [judged] = {p for p in asked if "Is the answer correct?" in p and told in p}
        assert f"the programming problem:\n{told}\n" in judged


@pytest.mark.model
def test_a_real_engine_writes_and_judges_in_the_teachers_own_turns(
    lake: Lake, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    folder = teacher(tmp_path / "teacher")
    lake.upsert(MODELS, [{"model_id": "t", "arm": "teacher", "base_model_id": "t", "spec":
                          str(folder), "training_run_id": "", "path": str(folder), "sha256": "0",
                          "promoted": False}], "run")  # fmt: skip
    place(lake, DAY, "old")
    mine = tmp_path / "mine.toml"  # a random model writes on and on: a line is enough
    text = (prompts.FOLDER / "chat.toml").read_text()
    mine.write_text(text.replace('stop = ["```"]', 'stop = ["\\n"]'))
    done = subprocess.run(
        [sys.executable, "-m", "jobs.generate", "--partition", str(DAY), "--profile", "tiny",
         "--set", f"lake.root={lake.root}", f"model.teacher={folder}", f"model.prompts={mine}",
         "engine.max_model_len=1024", "summarize.samples=6", "summarize.max_tokens=40",
         "summarize.min_words=1"],
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "done"
    rows = lake.read(CANDIDATES).to_pylist()
    assert len(rows) == 6
    words = AutoTokenizer.from_pretrained(folder)

    def length(text: str) -> int:
        return len(words.encode(text, add_special_tokens=False))

    found = prompts.load(str(mine), str(folder)).measured(length)
    for row in rows:
        assert row["prompt_version"] == found.version
        assert row["instruction"].startswith(row["prefix"])
        sent = found.summarize("def old(x):\n    return x + 1", "python", row["prefix"])
        assert row["prompt_tokens"] == length(sent)
        assert length(sent.removesuffix(row["prefix"])) % 32 == 0  # K samples share whole blocks
    judged = [r for r in lake.read(JUDGEMENTS).to_pylist() if r["question"] == "correct"]
    assert {r["candidate_id"] for r in judged} == {
        r["candidate_id"] for r in rows if r["status"] == "ok"}  # fmt: skip
    assert {r["judge_id"] for r in judged} == {f"t/{found.version}"}
    assert all(0 < r["score"] < 1 for r in judged)


def teacher(folder: Path) -> Path:
    """A small random model whose tokenizer knows ChatML."""
    import torch
    from transformers import PreTrainedTokenizerFast
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    words = PreTrainedTokenizerFast(
        tokenizer_object=tiny_tokenizer.train(), eos_token=MARKS[1],
        additional_special_tokens=list(MARKS), chat_template=CHATML,
    )  # fmt: skip
    words.save_pretrained(folder)
    torch.manual_seed(5)
    LlamaForCausalLM(LlamaConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        intermediate_size=128, max_position_embeddings=1024, vocab_size=len(words),
        tie_word_embeddings=True, eos_token_id=words.eos_token_id,
    )).save_pretrained(folder, safe_serialization=True)  # fmt: skip
    return folder
