from pathlib import Path

import pytest

from lakehouse import tiny_tokenizer, tiny_world, tokenizer
from lakehouse.errors import UserError

TEXTS = ["def f(x):\n    return x + 10\n", "  \t\n\n", "é 😀", "<|im_start|>user", "", "a" * 500]


def test_a_folders_tokenizer_counts_without_its_truncation_or_frame(tmp_path: Path) -> None:
    made = tiny_tokenizer.train()
    made.enable_truncation(2)
    made.enable_padding(length=9)
    made.save(str(tmp_path / "tokenizer.json"))
    before = tokenizer.identity(str(tmp_path))
    [n] = tokenizer.lengths(
        tokenizer.text(str(tmp_path)), ["def f(xs):\n    return 1\n    return 2"]
    )
    assert n > 2
    (tmp_path / "tokenizer.json").write_text("{}")
    assert tokenizer.identity(str(tmp_path)) != before
    with pytest.raises(UserError, match="cannot be read"):
        tokenizer.lengths(tokenizer.text(str(tmp_path)), ["x"])


def test_the_tiny_worlds_tokenizer_is_the_same_whoever_makes_it() -> None:
    assert tokenizer.text("train:tiny") == tokenizer.text("train:mine.toml")
    assert tokenizer.identity("train:tiny") == tokenizer.identity("train:mine.toml")
    code = next(iter(tiny_world.corpus(1, 1, 0.0)))
    [n] = tokenizer.lengths(tokenizer.text("train:tiny"), [code])
    assert n < len(code.split())


def test_of_an_endpoint_lengths_are_estimated_from_bytes() -> None:
    spec = "endpoint:wise"
    assert tokenizer.lengths(tokenizer.text(spec), ["", "abcd", "abcde", "é" * 6]) == [0, 1, 2, 3]
    assert tokenizer.identity(spec) == tokenizer.identity("endpoint:other")


@pytest.mark.parametrize("spec", ["", "unset", "package:other", "/no/such/folder"])
def test_a_model_without_tokenizer_says_what_to_do(spec: str) -> None:
    for ask in (tokenizer.identity, tokenizer.text):
        with pytest.raises(UserError, match=r"model\.teacher=FOLDER.*extract\.tokenizer"):
            ask(spec)


@pytest.mark.model
def test_the_packed_tokenizer_is_the_one_that_the_teacher_reads_with() -> None:
    teachers = tokenizer.of_transformers("package:smollm2")
    texts = [*TEXTS, Path(tokenizer.__file__).read_text()]
    ours = tokenizer._load(tokenizer.text("package:smollm2"))
    for text in texts:
        assert ours.encode(text, add_special_tokens=False).ids == teachers.encode(
            text, add_special_tokens=False
        )
