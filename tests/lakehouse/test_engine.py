"""All engines against one contract and each other, on a small random model.

Each runs in a process of its own, as in production, and prints what it found: vLLM in process,
vLLM's server behind its URL, transformers. What they should find is told by transformers' logits.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import math
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse import tiny_world
from lakehouse.delta import Lake
from lakehouse.tables import MODELS, SNIPPETS
from tests.rows import row

pytestmark = pytest.mark.model
DAY = dt.date(2026, 11, 1)
KINDS = ("transformers", "vllm", "server")
TASKS = tiny_world.labelled(3, 8)
SCRIPT = """
import datetime as dt, json, os, sys, weakref
from dataclasses import asdict
from jobs import judge, summarize
from lakehouse import engines, prompts, tiny_world
from lakehouse.delta import Lake
from lakehouse.engines.server import Server
from lakehouse.run import execute
from lakehouse.settings import load
from lakehouse.tables import CANDIDATES, JUDGEMENTS

folder, kind, url, root = sys.argv[1:]
settings = load("tiny", [
    f"engine.kind={kind}", f"engine.url={url}", f"model.teacher={folder}", f"lake.root={root}",
    "summarize.temperature=0", "summarize.repetition_penalty=1.2", "summarize.samples=2",
    "summarize.max_tokens=24", "summarize.min_words=0", "summarize.batch=5",
])
model = engines.shared(folder, settings.engine)
tasks = tiny_world.labelled(3, 8)
asked = [t.instruction for t in tasks]
def sample(order, size, **how):
    drawn = {}
    for start in range(0, len(order), size):
        part = order[start:start + size]
        each = [engines.Sampling(max_tokens=12, seed=n, **how) for n in part]
        for n, o in zip(part, model.generate([asked[n] for n in part], each)):
            drawn[n] = {**asdict(o), "cached_tokens": 0}
    return [drawn[n] for n in range(len(asked))]
def cached(times):
    how = [engines.Sampling(max_tokens=1)]
    return [o.cached_tokens for _ in range(times) for o in model.generate([asked[0] * 4], how)]
def rows(table):
    rows = Lake(root).read(table).select(list(table.content)).to_pylist()
    return sorted(({**r, "ds": str(r["ds"])} for r in rows), key=lambda r: json.dumps(r))
whole = list(range(8))
words = prompts.load("tiny")
pairs = [{"instruction": t.instruction, "code": t.code, "language": "python"} for t in tasks]
found = {
    "next": [n.logp for n in model.next_words(asked, ("yes", "no"))],
    "likelihood": [(c.logp, c.tokens) for c in model.likelihood(asked, [t.code for t in tasks])],
    "cached": cached(2),
    "name": [model.name, model.repeatable],
    "samples": [sample(o, n, temperature=0.8, top_p=0.9) for o, n in
                ((whole, 8), ([5, 2, 7, 0, 1, 3, 6, 4], 3))],
    "greedy": [sample(whole, 8, **how) for how in
               ({}, {"repetition_penalty": 1.4}, {"stop": ("\\n", "a")})],
    "fits": [model.fits(asked[0], 10), model.fits(asked[0] * 200, 10)],
    "judged": judge.ask_yes_no(model, words, "correct", pairs)[0],
}
if kind == "server":
    both = model.generate([asked[0] * 200, asked[1]], [engines.Sampling()] * 2)
    found["refused"] = [o.finish_reason for o in both]
    named = Server("endpoint:" + folder, settings.engine)  # nothing is known of it here
    answers = named.generate(asked, [engines.Sampling(max_tokens=12)] * 8)
    found["by_name"] = [[o.text for o in answers], [o.prompt_tokens for o in answers],
                        [n.logp for n in named.next_words(asked, ("yes", "no"))],
                        [c.logp for c in named.likelihood(asked, asked)]]
for stage in (summarize.STAGE, judge.STAGE):
    execute(stage, dt.date(2026, 11, 1), settings)
found["rows"] = [rows(CANDIDATES), rows(JUDGEMENTS)]
if kind == "vllm":
    first = weakref.ref(model._llm)
    del model
    engines.shared(folder, settings.engine.model_copy(update={"max_model_len": 128}))
    found["ended"] = first() is None
os.write(1, json.dumps(found).encode() + b"\\n")
os._exit(0)
"""
QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}


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
    with torch.no_grad():
        model.get_input_embeddings().weight[words.eos_token_id] *= 2.5  # so that answers do end
    model.save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def endpoint(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of vLLM's own server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder),
        "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager",
        "--max-model-len", "256", "--max-num-seqs", "16", "--block-size", "32",
        "--no-enable-chunked-prefill", "--max-num-batched-tokens", "65536",
        "--enable-prompt-tokens-details",
    ]  # fmt: skip
    log = tmp_path_factory.mktemp("server") / "log"
    env = {
        **os.environ,
        **QUIET,
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }  # the engine's process is the worker, too
    with log.open("w") as out:
        server = subprocess.Popen(argv, env=env, stdout=out, stderr=out)
    try:
        wait_for(server, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(60)


def wait_for(server: subprocess.Popen[bytes], health: str, log: Path) -> None:
    for _ in range(300):
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(health, timeout=5).close()
            return
        except OSError:
            time.sleep(1)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture(scope="module")
def all_found(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Any:
    """What an engine found, by its kind; each is run once, whichever process's tests need it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def of(kind: str) -> dict[str, Any]:
        held = shared / f"{kind}.json"
        with (shared / f"{kind}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not held.is_file():
                url = request.getfixturevalue("endpoint") if kind == "server" else ""
                found = run(folder, kind, url, tmp_path_factory.mktemp(kind))
                held.write_text(json.dumps(found))
        result: dict[str, Any] = json.loads(held.read_text())
        return result

    return of


def run(folder: Path, kind: str, url: str, root: Path) -> dict[str, Any]:
    lake = Lake(str(root))
    lake.upsert(MODELS, [{
        "model_id": "t", "arm": "teacher", "base_model_id": "t", "training_run_id": "",
        "spec": str(folder), "path": str(folder), "sha256": "0", "promoted": False,
    }], "run")  # fmt: skip
    lake.sync(SNIPPETS, [
        row(SNIPPETS, snippet_id=f"s{n}", document_id=f"d{n}", ds=DAY, source="tiny_world",
            language="python", code=task.code, n_tokens=9, license="MIT")
        for n, task in enumerate(TASKS)
    ], {"ds": DAY}, "run")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), kind, url, str(root)],
        env={**os.environ, **QUIET}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module")
def found(kind: str, all_found: Any) -> Any:
    return all_found(kind)


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
    assert len({o["text"] for o in first}) > 1


def test_greedy_answers_are_the_references(found: dict[str, Any], all_found: Any) -> None:
    plain, penalised, stopped = found["greedy"]
    assert [plain, penalised, stopped] == all_found("transformers")["greedy"]
    assert plain != penalised
    assert {o["finish_reason"] for o in plain} == {"stop", "length"}  # an end, or enough tokens
    assert not any("a" in o["text"] for o in stopped)
    assert any("a" in o["text"] for o in plain)


def test_the_same_rows_come_out(found: dict[str, Any], all_found: Any) -> None:
    """But for what a row says of its engine; probabilities to a thousandth."""
    (candidates, judgements), (others, theirs) = found["rows"], all_found("transformers")["rows"]
    unsaid = {"engine", "repeatable"}
    assert [{k: v for k, v in r.items() if k not in unsaid} for r in candidates] == [
        {k: v for k, v in r.items() if k not in unsaid} for r in others
    ]
    assert {r["engine"] for r in candidates} == {found["name"][0]}
    assert "ok" in {r["status"] for r in candidates}
    assert {r["question"] for r in judgements} == {"correct", "likelihood"}
    assert None not in {r["score"] for r in judgements}
    for mine, wanted in zip(judgements, theirs, strict=True):
        assert mine == {k: pytest.approx(v, rel=1e-3, abs=1e-3) if isinstance(v, float) else v
                        for k, v in wanted.items()}  # fmt: skip


def test_an_over_long_prompt_is_known_before_it_is_sent(found: dict[str, Any]) -> None:
    assert found["fits"] == [True, False]


def test_an_engine_of_vllm_has_left_the_memory_when_the_next_has_started(all_found: Any) -> None:
    assert all_found("vllm")["ended"]


def test_what_the_server_refuses_does_not_fail_the_others(all_found: Any) -> None:
    assert all_found("server")["refused"] == ["none", "length"]


def test_a_model_of_which_only_the_name_is_known_answers_the_same_and_scores_nothing(
    all_found: Any,
) -> None:
    found = all_found("server")
    texts, lengths, words, likelihoods = found["by_name"]
    assert texts == [o["text"] for o in found["greedy"][0]]
    assert lengths == [o["prompt_tokens"] for o in found["greedy"][0]]  # the endpoint counts
    assert (words, likelihoods) == ([None] * 8, [None] * 8)  # neither word is among the likeliest


def test_what_prompts_share_is_computed_once(found: dict[str, Any], kind: str) -> None:
    first, again = found["cached"]
    assert (first, again >= 32) == (0, kind != "transformers")  # whole blocks


def test_the_engine_says_what_it_is(found: dict[str, Any], kind: str) -> None:
    name, repeatable = found["name"]
    assert name.split()[0] == kind
    assert ("vllm" in name, repeatable) == (kind != "transformers", kind != "server")
