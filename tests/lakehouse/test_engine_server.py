"""The client of an endpoint against a small server of our own that misbehaves as told."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from lakehouse import engines
from lakehouse.engines import Sampling
from lakehouse.engines.server import RETRIES, Server, by_text
from lakehouse.errors import ServiceError, UserError
from lakehouse.settings import load

SERVED = ("engine.kind=server", "engine.url=http://h/v1")
KEY = "sk-of-nobody"
Reply = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


class Endpoint(ThreadingHTTPServer):
    """Answers as `reply` says; notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.models: list[dict[str, Any]] = [{"id": "wise", "object": "model", "owned_by": "x"}]
        self.reply: Reply = lambda body: (200, completion(f"re: {body['prompt']}"))
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def engine(self, *sets: str) -> Server:
        return Server("endpoint:wise", settings(self.url, *sets))


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._send(200, {"object": "list", "data": self.server.models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.add(self.headers["Authorization"])
        self._send(*self.server.reply(body))

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(data)


def completion(text: str, **choice: Any) -> dict[str, Any]:
    return {
        "id": "1", "object": "text_completion", "created": 0, "model": "wise",
        "choices": [{"index": 0, "text": text, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9,
                  "prompt_tokens_details": {"cached_tokens": 3}},
    }  # fmt: skip


def top(**logps: float) -> Reply:
    """Likeliest tokens, as an endpoint tells them."""
    told = {"tokens": ["x"], "token_logprobs": [-1.0], "top_logprobs": [logps], "text_offset": [0]}
    return lambda _body: (200, completion("x", logprobs=told))


def refusal(status: int, message: str) -> tuple[int, dict[str, Any]]:
    return status, {"error": {"message": message, "type": "t", "code": status}}


def settings(url: str, *sets: str) -> Any:
    chosen = ["engine.kind=server", f"engine.url={url}", "model.teacher=endpoint:wise", *sets]
    return load("tiny", chosen).engine


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("WISE_KEY", KEY)
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def texts(engine: Server, *prompts: str, **sampling: Any) -> list[str]:
    return [o.text for o in engine.generate(prompts, [Sampling(**sampling)] * len(prompts))]


def test_what_is_asked_is_sent_and_what_is_said_is_kept(endpoint: Endpoint) -> None:
    engine = endpoint.engine("engine.key_variable=WISE_KEY")
    how = Sampling(0.5, 0.9, 1.2, 11, ("##",), 42)
    (answer,) = engine.generate(["a b"], [how])
    assert (answer.text, answer.finish_reason) == ("re: a b", "stop")
    assert (answer.prompt_tokens, answer.completion_tokens, answer.cached_tokens) == (7, 2, 3)
    assert endpoint.asked == [{
        "model": "wise", "prompt": "a b", "temperature": 0.5, "top_p": 0.9, "max_tokens": 11,
        "repetition_penalty": 1.2, "stop": ["##"], "seed": 42,
    }]  # fmt: skip
    assert endpoint.keys == {f"Bearer {KEY}"}
    assert (engine.name.split()[2:], engine.repeatable) == (["x"], False)


def test_what_a_filter_cut_is_no_whole_answer(endpoint: Endpoint) -> None:
    endpoint.reply = lambda _body: (200, completion("a b", finish_reason="content_filter"))
    (answer,) = endpoint.engine().generate(["a"], [Sampling()])
    assert answer.finish_reason == "length"


def test_no_extension_is_sent_that_nobody_asked_for(endpoint: Endpoint) -> None:
    texts(endpoint.engine(), "a")
    assert endpoint.asked[0].keys() == {"model", "prompt", "temperature", "top_p", "max_tokens"}


def test_answers_come_in_the_order_of_prompts(endpoint: Endpoint) -> None:
    prompts = [str(n) for n in range(50)]
    assert texts(endpoint.engine("engine.concurrency=8"), *prompts) == [f"re: {p}" for p in prompts]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(endpoint: Endpoint, status: int) -> None:
    endpoint.reply = lambda body: (
        refusal(status, "later") if len(endpoint.asked) < 3 else (200, completion("at last"))
    )
    assert texts(endpoint.engine(), "a") == ["at last"]
    assert len(endpoint.asked) == 3


def test_after_enough_tries_it_is_the_services_fault(endpoint: Endpoint) -> None:
    engine = endpoint.engine()
    endpoint.reply = lambda _body: refusal(500, "no")
    with pytest.raises(ServiceError, match="does not answer") as caught:
        texts(engine, "a")
    assert (caught.value.exit_code, len(endpoint.asked)) == (4, 1 + RETRIES)


def test_nobody_at_the_url_is_the_services_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    with pytest.raises(ServiceError, match="does not answer"):
        Server("endpoint:wise", settings("http://127.0.0.1:9/v1"))


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "MY_KEY|WISE_KEY"), (403, "WISE_KEY"), (404, "no such model"), (400, "penalty")],
)
def test_what_the_user_did_wrong_is_said_without_the_key(
    endpoint: Endpoint, status: int, said: str
) -> None:
    engine = endpoint.engine("engine.key_variable=WISE_KEY")
    endpoint.reply = lambda _body: refusal(status, f"bad key {KEY} or a field that I do not know")
    with pytest.raises(UserError, match=said) as caught:
        texts(engine, "a")
    assert len(endpoint.asked) == 1  # trying again would not help
    assert KEY not in str(caught.value)


def test_a_model_that_is_not_served_is_said_with_those_that_are(endpoint: Endpoint) -> None:
    with pytest.raises(UserError, match=r"does not serve 'other'; it serves wise"):
        Server("endpoint:other", settings(endpoint.url))


def test_something_else_at_the_url_is_said(endpoint: Endpoint) -> None:
    endpoint.reply = lambda _body: (200, {"hello": "world"})
    with pytest.raises(UserError, match="not as OpenAI's API does"):
        texts(endpoint.engine(), "a")


@pytest.mark.parametrize("said", [
    "This model's maximum context length is 16 tokens. However, your prompt contains 17",
    "the request exceeds the available context size, try increasing it",
])  # fmt: skip
def test_one_prompt_that_is_too_long_does_not_fail_the_others(
    endpoint: Endpoint, said: str
) -> None:
    endpoint.reply = lambda body: (
        refusal(400, said) if body["prompt"] == "5" else (200, completion("fine"))
    )
    prompts = [str(n) for n in range(9)]
    found = endpoint.engine().generate(prompts, [Sampling()] * 9)
    reasons = [o.finish_reason for o in found]
    assert reasons == ["stop"] * 5 + [engines.UNSENT] + ["stop"] * 3
    assert (found[5].text, found[5].prompt_tokens) == ("", 0)


def test_the_likeliest_tokens_are_a_score_if_both_words_are_among_them(endpoint: Endpoint) -> None:
    endpoint.reply = top(**{" Yes": -1.0, "yes": -2.0, "no": -3.0, "maybe": -0.5})
    (told,) = endpoint.engine().next_words(["Is it?"], ("yes", "no"))
    assert told.logp is not None
    assert math.exp(told.logp["yes"]) == pytest.approx(math.exp(-1) + math.exp(-2))
    assert told.logp["no"] == pytest.approx(-3)
    assert told.prompt_tokens == 7
    assert "logprob_token_ids" not in endpoint.asked[0]


def test_a_word_that_is_not_among_the_likeliest_is_unknown(endpoint: Endpoint) -> None:
    endpoint.reply = top(yes=-0.1, maybe=-3.0)
    (told,) = endpoint.engine().next_words(["Is it?"], ("yes", "no"))
    assert told.logp is None
    assert by_text({}, ("yes", "no")) is None


def test_an_endpoint_without_logprobs_is_asked_once_and_gives_no_score(endpoint: Endpoint) -> None:
    found = endpoint.engine().next_words(["a", "b", "c"], ("yes", "no"))
    assert [n.logp for n in found] == [None] * 3
    assert [n.prompt_tokens for n in found] == [7, 0, 0]  # what it took
    assert len(endpoint.asked) == 1


def test_an_endpoint_that_refuses_logprobs_gives_no_score(endpoint: Endpoint) -> None:
    endpoint.reply = lambda _body: refusal(400, "logprobs are not supported")
    found = endpoint.engine().next_words(["a", "b"], ("yes", "no"))
    assert [n.logp for n in found] == [None] * 2


def test_without_a_tokenizer_lengths_are_estimates_and_likelihoods_unknown(
    endpoint: Endpoint,
) -> None:
    engine = endpoint.engine("engine.max_model_len=100")
    assert (engine.length("é" * 6), engine.fits("x" * 360, 10), engine.fits("x" * 361, 10)) == (
        3, True, False)  # fmt: skip
    assert [c.logp for c in engine.likelihood(["a"], ["b"])] == [None]
    assert endpoint.asked == []


def test_echoed_log_probabilities_are_a_likelihood_if_tokens_are_ours(endpoint: Endpoint) -> None:
    engine = endpoint.engine("engine.tokenizer=package:smollm2")
    head, tail = engine._scored("Add one.", "def f(x):")

    def reply(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        assert body["prompt"] == head + tail
        assert body["echo"]
        steps = [None, *[-0.25] * (len(head) + len(tail) - 1), -9.0]
        told = {"token_logprobs": steps, "tokens": ["x"] * len(steps), "top_logprobs": None}
        return 200, completion("x", logprobs=told)

    endpoint.reply = reply
    (found,) = engine.likelihood(["Add one."], ["def f(x):"])
    assert (found.logp, found.tokens) == (-0.25 * len(tail), len(tail))
    endpoint.reply = top()  # one token's: the endpoint cuts texts in another way, or echoes nothing
    assert [c.logp for c in engine.likelihood(["Add one."], ["def f(x):"])] == [None]


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["engine.kind=server"], "needs engine.url"),
        (["model.teacher=endpoint:x"], "needs engine.kind = 'server'"),
        (["engine.url=http://me:secret@host/v1"], "engine.key_variable"),
        (["engine.url=host:8000"], "give http://HOST:PORT/v1"),
        ([*SERVED, "model.base=endpoint:x"], "only a teach"),
        (["engine.tokenizer=package:smollm2"], "has its own"),
        ([*SERVED, "model.teacher=endpoint:x", "evaluation.arms=teacher"], "evaluation.arms"),
        ([*SERVED, "model.teacher=endpoint:"], "is no folder"),
        ([*SERVED, "model.teacher=endpoint:x", "engine.tokenizer=/no/such"],
         "no folder with a tokenizer.json"),
    ],
)  # fmt: skip
def test_settings_of_endpoints_that_cannot_work_are_refused(sets: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load("tiny", sets, environ={})


def test_what_is_tested_is_asked_in_this_process() -> None:
    remote = settings("http://h/v1")
    assert (remote.local.kind, remote.local.max_model_len) == ("vllm", remote.max_model_len)
    assert load("tiny", ["engine.kind=transformers"]).engine.local.kind == "transformers"
