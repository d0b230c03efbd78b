"""The real engine against transformers, on a small random model: exact scores, repeatable samples.

vLLM runs in a process of its own, as in production, and prints what it found.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lakehouse import tiny_world

pytestmark = pytest.mark.model
TASKS = tiny_world.labelled(3, 8)
SCRIPT = """
import json, os, sys
from jobs.judge import ask_correct
from types import SimpleNamespace
from lakehouse import engines, prompts, tiny_world
from lakehouse.engines.offline import Offline
from lakehouse.settings import load

model = Offline(sys.argv[1], load("tiny").engine)
tasks = tiny_world.labelled(3, 8)
asked = [t.instruction for t in tasks]
def sample(order, size):
    drawn = {}
    for start in range(0, len(order), size):
        part = order[start:start + size]
        each = [engines.Sampling(temperature=0.8, max_tokens=12, seed=n) for n in part]
        for n, o in zip(part, model.generate([asked[n] for n in part], each)):
            drawn[n] = o.text
    return [drawn[n] for n in range(len(asked))]
scope = SimpleNamespace(prompts=prompts.load("tiny"))
rows = [{"instruction": t.instruction, "code": t.code, "language": "python"} for t in tasks]
found = {
    "next": [n.logp for n in model.next_words(asked, ("yes", "no"))],
    "likelihood": [(c.logp, c.tokens) for c in model.likelihood(asked, [t.code for t in tasks])],
    "cached": [o.cached_tokens for _ in range(2)
               for o in model.generate([asked[0] * 4], [engines.Sampling(max_tokens=1)])],
    "name": [model.name, model.repeatable],
    "samples": [sample(list(range(8)), 8), sample([5, 2, 7, 0, 1, 3, 6, 4], 3)],
    "fits": [model.fits(asked[0], 10), model.fits(asked[0] * 200, 10)],
    "judged": ask_correct(model, scope, rows)[0],
}
os.write(1, json.dumps(found).encode() + b"\\n")
os._exit(0)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import AutoTokenizer
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    from training import tokenizer

    folder = tmp_path_factory.mktemp("random")
    tokenizer.save(folder)
    words = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(5)
    model = LlamaForCausalLM(LlamaConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        intermediate_size=128, max_position_embeddings=256, vocab_size=len(words),
        tie_word_embeddings=True, eos_token_id=words.eos_token_id, initializer_range=0.2,
    ))  # fmt: skip
    model.save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)], env=env, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    """log-probabilities of every token at every place of a text: (ids, (length, vocabulary))."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    words = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def of(*parts: str, end: bool = False) -> tuple[list[list[int]], Any]:
        ids = [words.encode(p, add_special_tokens=False) for p in parts]
        flat = [t for p in ids for t in p] + ([words.eos_token_id] if end else [])
        with torch.no_grad():
            return ids, model(torch.tensor([flat])).logits[0].log_softmax(-1)

    return of, words


def spellings(words: Any) -> dict[str, list[int]]:
    """The tokens that read yes, and those that read no, found anew."""
    read = {t: words.decode([t]).strip().lower() for t in range(len(words))}
    return {word: [t for t, text in read.items() if text == word] for word in ("yes", "no")}


def test_yes_and_no_are_asked_for_exactly(found: dict[str, Any], reference: Any) -> None:
    of, words = reference
    assert all(spellings(words).values())
    for task, told in zip(TASKS, found["next"], strict=True):
        _, expected = of(task.instruction)
        assert told.keys() == {"yes", "no"}
        for word, ids in spellings(words).items():
            want = math.log(sum(math.exp(float(expected[-1, t])) for t in ids))
            assert told[word] == pytest.approx(want, abs=1e-3)


def test_the_judges_score_is_the_share_of_yes(found: dict[str, Any], reference: Any) -> None:
    from lakehouse import prompts

    of, words = reference
    for task, judged in zip(TASKS, found["judged"], strict=True):
        _, expected = of(prompts.load("tiny").judge(task.instruction, task.code, "python"))
        p = [sum(math.exp(float(expected[-1, t])) for t in ids)
             for ids in spellings(words).values()]  # fmt: skip
        assert judged["score"] == pytest.approx(p[0] / sum(p), abs=1e-3)
        assert judged["yes_no_mass"] == pytest.approx(sum(p), abs=1e-3)


def test_a_likelihood_is_the_sum_over_the_continuation(
    found: dict[str, Any], reference: Any
) -> None:
    of, words = reference
    for task, (logp, n) in zip(TASKS, found["likelihood"], strict=True):
        (head, tail), expected = of(task.instruction, task.code, end=True)
        tail = [*tail, words.eos_token_id]
        want = sum(float(expected[len(head) - 1 + k, t]) for k, t in enumerate(tail))
        assert n == len(tail)
        assert logp / n == pytest.approx(want / n, abs=1e-3)


def test_samples_do_not_depend_on_order_or_batches(found: dict[str, Any]) -> None:
    first, shuffled = found["samples"]
    assert first == shuffled
    assert len(set(first)) > 1


def test_an_over_long_prompt_is_known_before_it_is_sent(found: dict[str, Any]) -> None:
    assert found["fits"] == [True, False]


def test_what_prompts_share_is_computed_once(found: dict[str, Any]) -> None:
    first, again = found["cached"]
    assert (first, again >= 32) == (0, True)  # whole blocks


def test_the_engine_says_what_it_is(found: dict[str, Any]) -> None:
    name, repeatable = found["name"]
    assert name.split()[0] == "vllm"
    assert repeatable
