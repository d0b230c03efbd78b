"""Exports, read by the libraries that people train with: `datasets` and TRL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.exports import formats
from jobs.exports.folder import Request, export
from jobs.exports.selection import Filters
from lakehouse.delta import Lake
from lakehouse.settings import load
from tests.jobs.exporting import LICENSES, SET, filled
from training import tokenizer
from training.dataset import encode

pytestmark = pytest.mark.model
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TQDM_DISABLE": "1"}
CHAT = ("{% for m in messages %}{{ '@@ Instruction\n' if m.role == 'user' else '@@ Response\n' }}"
        "{{ m.content }}{% endfor %}{{ eos_token }}")  # fmt: skip
ROOM = 128
"""Tokens of the model; the longest example has fewer."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with every format, and a training set."""
    root = tmp_path_factory.mktemp("exported")
    lake = Lake(str(root / "lake"))
    settings = load("tiny", [f"lake.root={lake.root}"])
    filled(lake)
    for name in formats():
        export(lake, settings, Request(name, root / name, Filters(), 5))
    of_set = Request("prompt-completion", root / "of-set", Filters(training_set=SET), 100)
    export(lake, settings, of_set)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (OFFLINE | {"HF_HOME": str(root / "hub")}).items():
            patch.setenv(name, value)
        yield root


def loaded(exported: Path, name: str) -> Any:
    from datasets import load_dataset

    return load_dataset(str(exported / name), split="train", cache_dir=str(exported / "cache"))


@pytest.fixture(scope="module")
def words(exported: Path) -> Any:
    from transformers import AutoTokenizer

    tokenizer.save(exported / "tokenizer")
    found = AutoTokenizer.from_pretrained(exported / "tokenizer")
    found.chat_template = CHAT
    return found


def model(words: Any, folder: Path) -> Any:
    """Two layers, at random; from a folder, as DPO reads its reference again."""
    import torch
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(5)
    LlamaForCausalLM(LlamaConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=ROOM, vocab_size=len(words),
    )).save_pretrained(folder)  # fmt: skip
    return LlamaForCausalLM.from_pretrained(folder)


def options(place: Path) -> dict[str, Any]:
    """One step on the CPU; all else as a trainer has it by default."""
    return {"output_dir": str(place), "max_steps": 1, "per_device_train_batch_size": 4,
            "use_cpu": True, "bf16": False, "report_to": "none", "max_length": ROOM,
            "save_strategy": "no", "disable_tqdm": True}  # fmt: skip


def step(trainer: Any) -> None:
    """Train one step: the loss is a number, and the weights have moved."""
    before = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    done = trainer.train()
    assert done.global_step == 1
    assert 0 < done.training_loss < 20
    assert any((p != before[n]).any() for n, p in trainer.model.named_parameters())


@pytest.mark.parametrize("name", formats())
def test_load_dataset_reads_every_shard_with_the_published_columns(
    exported: Path, name: str
) -> None:
    rows = loaded(exported, name)
    assert len(rows) == 12
    assert rows.column_names == list(formats()[name].columns)
    assert set(rows["license"]) == set(LICENSES)


def test_the_hub_reads_the_card(exported: Path) -> None:
    from huggingface_hub import DatasetCard

    said = DatasetCard.load(exported / "messages" / "README.md").data.to_dict()
    assert said["license"] == ["other", "gpl-3.0", "mit"]
    assert said["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]
    assert said["size_categories"] == ["n<1K"]


def test_trl_knows_the_formats(exported: Path) -> None:
    from trl import is_conversational

    assert is_conversational(loaded(exported, "messages")[0])
    for name in ("prompt-completion", "preference"):
        assert not is_conversational(loaded(exported, name)[0])


@pytest.mark.parametrize("name", ["messages", "prompt-completion"])
def test_a_supervised_step_is_trained_on_it(
    exported: Path, words: Any, tmp_path: Path, name: str
) -> None:
    from trl import SFTConfig, SFTTrainer

    trained = model(words, tmp_path / "model")
    step(SFTTrainer(trained, SFTConfig(**options(tmp_path)), processing_class=words,
                    train_dataset=loaded(exported, name)))  # fmt: skip


def test_a_preference_step_is_trained_on_it(exported: Path, words: Any, tmp_path: Path) -> None:
    from trl import DPOConfig, DPOTrainer

    trained = model(words, tmp_path / "model")
    step(DPOTrainer(trained, args=DPOConfig(**options(tmp_path)), processing_class=words,
                    train_dataset=loaded(exported, "preference")))  # fmt: skip


def test_prompt_and_completion_are_to_trl_the_very_tokens_that_are_trained_on_here(
    exported: Path, words: Any, tmp_path: Path
) -> None:
    """Token for token, with the same ones learnt: the export trains as `finetune` does."""
    from trl import SFTConfig, SFTTrainer

    rows = loaded(exported, "of-set")
    trainer = SFTTrainer(model(words, tmp_path / "model"), SFTConfig(**options(tmp_path)),
                         train_dataset=rows, processing_class=words)  # fmt: skip
    ours = [encode(words, r["prompt"], r["completion"], ROOM) for r in rows]
    assert [list(e.ids) for e in ours] == trainer.train_dataset["input_ids"][:]
    assert [[-100] * e.start + list(e.ids[e.start :]) for e in ours] == (
        trainer.train_dataset["labels"][:])  # fmt: skip
