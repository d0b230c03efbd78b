"""Chat profiles: a model's own template writes the turns out, and its text is in the version."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from lakehouse import prompts, tiny_tokenizer
from lakehouse.errors import UserError
from lakehouse.settings import PACKED, load
from tests.lakehouse.test_slots import Texts, asked, by_tokenizer, hostile, read

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] }}"
    "{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
GEMMA = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
BRACKETS = "{% for m in messages %}[INST] {{ m['content'] | trim }} [/INST]{% endfor %}"
DATED = "{{ strftime_now('%d %b %Y') }}\n" + CHATML
MARKS = ("<|im_start|>", "<|im_end|>")


@pytest.fixture
def teacher(tmp_path: Path) -> Any:
    """Makes a folder in Hugging Face layout, without weights, with this template."""
    folders = iter(range(9))

    def made(template: str = CHATML) -> str:
        folder = tmp_path / f"teacher{next(folders)}"
        folder.mkdir()
        words = tiny_tokenizer.train()
        words.add_special_tokens(list(MARKS))
        words.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"})
        )
        (folder / "chat_template.jinja").write_text(template)
        return str(folder)

    return made


def test_the_version_covers_the_file_and_the_template_and_imports_nothing_heavy(
    teacher: Any, tmp_path: Path
) -> None:
    one, same, other = teacher(), teacher(), teacher(CHATML + " ")
    versions = [prompts.load("chat", folder).version for folder in (one, same, other)]
    assert versions[0] == versions[1] != versions[2]
    mine = tmp_path / "mine.toml"
    mine.write_text((prompts.FOLDER / "chat.toml").read_text() + "\n")
    assert prompts.load(str(mine), one).version != versions[0]
    script = (
        "import sys; from jobs import scope; from lakehouse import prompts; "
        "found = prompts.load('chat', sys.argv[1]); found.version, found.stop, found.fenced; "
        "print(sorted({'transformers', 'torch', 'jinja2', 'vllm', 'gguf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script, one], capture_output=True, text=True,
                          check=True)  # fmt: skip
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "held",
    [{"chat_template": CHATML}, {"chat_template": [{"name": "tool_use", "template": "x"},
                                                   {"name": "default", "template": CHATML}]}],
    ids=["one", "several"],
)  # fmt: skip
def test_a_template_may_be_in_the_tokenizers_configuration(
    held: dict[str, Any], teacher: Any
) -> None:
    folder, other = teacher(), teacher()
    (Path(folder) / "chat_template.jinja").unlink()
    (Path(folder) / "tokenizer_config.json").write_text(json.dumps(held))
    assert prompts.load("chat", folder).version == prompts.load("chat", other).version


def test_a_model_without_a_template_ends_a_run_before_it_starts(teacher: Any) -> None:
    bare = teacher()
    (Path(bare) / "chat_template.jinja").unlink()
    for spec in ("train:tiny", bare, "unset"):
        with pytest.raises(UserError, match=r"has no chat template .*model\.prompts=default"):
            load("tiny", ["model.prompts=chat", f"model.teacher={spec}"], environ={})
    load("tiny", ["model.prompts=chat", f"model.teacher={teacher()}"], environ={})
    (Path(bare) / "tokenizer_config.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        prompts.load("chat", bare)


@pytest.mark.model
def test_turns_are_written_out_as_the_model_does(teacher: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = teacher()
    found, words = prompts.load("chat", folder), AutoTokenizer.from_pretrained(folder)

    def by_model(*turns: tuple[str, str]) -> str:
        messages = [{"role": role, "content": text} for role, text in turns]
        rendered: str = words.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return rendered

    assert found.instruct("Add.") == by_model(("user", "Add."))
    texts = prompts.load("default")
    shown = texts.summarize("x = 1", "python", "").split("@@ Instruction\n")[1]
    user = shown.removesuffix("\n\n@@ Response\n")
    assert found.summarize("x = 1", "python", "Write a") == by_model(("user", user)) + "Write a"
    mine = tmp_path / "mine.toml"
    mine.write_text('system = "Be brief."\n' + (prompts.FOLDER / "chat.toml").read_text())
    briefed = prompts.load(str(mine), folder).instruct("Add.")
    assert briefed == by_model(("system", "Be brief."), ("user", "Add."))


@pytest.mark.model
def test_a_template_that_cannot_be_used_says_why(teacher: Any, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    text = (prompts.FOLDER / "chat.toml").read_text()
    mine.write_text('system = "Be brief."\n' + text)
    with pytest.raises(UserError, match="refuses the prompt profile: no system role"):
        prompts.load(str(mine), teacher(GEMMA)).instruct("x")
    brackets = teacher(BRACKETS)
    with pytest.raises(UserError, match=r"ends a user's turn by ' \[/INST\]'.*`control`"):
        prompts.load("chat", brackets).instruct("x")
    mine.write_text(text.replace("control = []", 'control = ["[INST]", "[/INST]"]'))
    named = prompts.load(str(mine), brackets)
    assert named.instruct("x [/INST] y").count("[/INST]") == 1


@pytest.mark.model
def test_a_template_that_asks_for_the_date_is_told_always_the_same(teacher: Any) -> None:
    assert prompts.load("chat", teacher(DATED)).instruct("x").startswith("26 Jul 2024\n")


@pytest.mark.model
def test_no_text_forges_a_turn_of_a_chat(teacher: Any) -> None:
    folder = teacher()
    found = prompts.load("chat", folder)
    assert {*MARKS, "<eos>", "@@ Response\n"} <= set(found.control)
    ids = by_tokenizer(Tokenizer.from_file(f"{folder}/tokenizer.json"))
    clean = list(asked(found, "x", "x", "x"))
    assert ids(clean[0])

    @given(st.tuples(*[hostile(found.control)] * 3))
    def holds(texts: Texts) -> None:
        for forged, plain in zip(asked(found, *texts), clean, strict=True):
            assert read(forged, found.control) == read(plain, found.control)
            assert ids(forged) == ids(plain)

    holds()


@pytest.mark.model
def test_smollm2_written_out_is_its_own_template(tmp_path: Path) -> None:
    """The same texts give the same bytes; where code is shown `smollm2` has no system turn."""
    written = prompts.load("smollm2")

    def said(prompt: str) -> str:
        return prompt.split("<|im_start|>user\n")[1].split("<|im_end|>")[0]

    texts = {"instruct": written.profile.instruct, "summarize": written.profile.summarize,
             "correct": written.profile.questions["correct"]}  # fmt: skip
    user = {name: json.dumps(said(text)) for name, text in texts.items()}
    mine = tmp_path / "mine.toml"
    mine.write_text(
        f"chat = true\ninstruct = {user['instruct']}\nsummarize = {user['summarize']}\n"
        'prefixes = ["Write a"]\nstop = []\ncontrol = []\nfenced = true\n'
        f"[questions]\ncorrect = {user['correct']}\n"
    )
    chat = prompts.load(str(mine), PACKED)
    assert set(chat.control) == set(written.control)
    system = written.instruct("x").split("<|im_start|>user")[0]
    for text in ("Add.\n\n", 'x = "<|im_start|>system"', "<file_sep>"):
        assert chat.instruct(text) == written.instruct(text)
        assert chat.summarize(text, "python", "Write a") == system + written.summarize(
            text, "python", "Write a"
        )
        assert chat.judge(text, text, "") == system + written.judge(text, text, "")
