"""No text leaves its slot: a prompt's marks are those that it has with harmless text."""

import unicodedata
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers

from lakehouse import prompts, tokenizer
from lakehouse.prompts import Prompts, slots
from tests.lakehouse.test_prompts import NAMES

PROFILES = {name: prompts.load(name) for name in NAMES}
JOINER = "\u200d"
Texts = tuple[str, str, str]


def hostile(control: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Marks, their parts and other spellings, slots' names, what rendering itself might use."""
    forms = {f for m in control for f in (m, m.upper(), m.title(), wide(m), m.replace(" ", "▁"))}
    parts = {part for m in control for n in range(1, len(m)) for part in (m[:n], m[n:])}
    names = [f"{o}{slot}{c}" for slot in ("instruction", "code", "prefix", "rule", "language")
             for o, c in ("{}", ("{{", "}}"), "\0\0")]  # fmt: skip
    odd = ["\0", JOINER, "\\g<0>", "\n", "```", "\u0301", "\ud800"]
    told = st.sampled_from([*sorted(forms), *sorted(parts), *names, *odd])
    return st.lists(st.one_of(told, st.text(max_size=3)), max_size=6).map("".join)


def wide(text: str) -> str:
    """The text in full-width letters, which compatibility normalisation undoes."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def asked(found: Prompts, one: str, other: str, third: str) -> Iterator[str]:
    """Every prompt of a profile with these texts in its slots."""
    yield found.instruct(one)
    yield found.summarize(one, other, third)
    yield from (found.judge(one, other, third, q) for q in found.profile.questions)


def read(text: str, control: tuple[str, ...]) -> list[str]:
    """The marks in a text, leftmost and longest, whatever their case and form; written anew."""
    text, found, at = unicodedata.normalize("NFKC", text).replace("▁", " ").lower(), [], 0
    known = sorted((m.lower() for m in control), key=len, reverse=True)
    while at < len(text):
        mark = next((m for m in known if text.startswith(m, at)), "")
        found += [mark] if mark else []
        at += len(mark) or 1
    return found


def exact(text: str, control: tuple[str, ...]) -> list[tuple[int, str]]:
    """Every place at which a mark is written as it is."""
    return [(n, m) for n in range(len(text)) for m in control if text.startswith(m, n)]


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_text_cannot_leave_its_slot(name: str, data: st.DataObject) -> None:
    found = PROFILES[name]
    texts = [data.draw(hostile(found.control)) for _ in range(3)]
    for forged, clean in zip(asked(found, *texts), asked(found, "x", "x", "x"), strict=True):
        assert read(forged, found.control) == read(clean, found.control)
        assert [m for _, m in exact(forged, found.control)] == [
            m for _, m in exact(clean, found.control)]  # fmt: skip


ODD = ("abab", "ba", "aa", "@@ Response", "<end>", "<\uff5cend\u2581of\u2581text\uff5c>")


WORDS = ["a", "b", "{code}{prefix}", "@@ Resp", "onse", "{instruction}", "<en", "d>", "aab"]


@given(
    st.lists(st.sampled_from(WORDS), max_size=6).map("".join),
    st.tuples(hostile(ODD), hostile(ODD), hostile(ODD)),
)
def test_not_even_where_slots_touch_and_marks_overlap(template: str, texts: Texts) -> None:
    by_name = dict(zip(("instruction", "code", "prefix"), texts, strict=True))
    filled = slots.fill(template, ODD, **by_name)
    words = slots.SLOT.split(template)[::2]
    assert read(filled, ODD) == [m for w in words for m in read(w, ODD)]


@pytest.mark.parametrize("text", ["{instruction}", "\0code\0", "a" * 9, "<eos", "", "ﬁ ² Å"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    for found in PROFILES.values():
        for prompt in asked(found, text, text, text):
            assert text in prompt
            assert JOINER not in prompt


def by_tokenizer(words: Tokenizer) -> Callable[[str], list[int]]:
    """The special tokens in a text, in their order, as the model would read them."""
    special = {n for n, t in words.get_added_tokens_decoder().items() if t.special}

    def ids(text: str) -> list[int]:
        said = text.encode("utf-8", "replace").decode()
        return [n for n in words.encode(said, add_special_tokens=False).ids if n in special]

    return ids


def normalising(control: tuple[str, ...]) -> Tokenizer:
    """A tokenizer that reads marks in any case and compatibility form."""
    words = Tokenizer(models.BPE())
    words.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    words.add_special_tokens([AddedToken(m, normalized=True) for m in control])
    return words


@pytest.fixture(scope="module", params=["tiny", "smollm2", "paper normalising"])
def reader(request: pytest.FixtureRequest) -> tuple[Prompts, Callable[[str], list[int]]]:
    name = request.param.split()[0]
    found = PROFILES[name]
    if name == "paper":
        return found, by_tokenizer(normalising(found.control))
    spec = "train:tiny" if name == "tiny" else "package:smollm2"
    return found, by_tokenizer(Tokenizer.from_str(tokenizer.text(spec)))


def test_a_models_own_tokenizer_reads_no_turn_in_a_text(
    reader: tuple[Prompts, Callable[[str], list[int]]],
) -> None:
    found, ids = reader
    clean = [ids(prompt) for prompt in asked(found, "x", "x", "x")]
    assert all(clean)  # it does read the profile's own
    assert ids("".join(found.control))

    @given(st.tuples(*[hostile(found.control)] * 3))
    def holds(texts: Texts) -> None:
        assert [ids(prompt) for prompt in asked(found, *texts)] == clean

    holds()
