"""A causal model's loss on packed micro-batches: no example sees another, and nothing is padded but
what attention looks at.

Linear layers, most of the work, run over the tokens alone; for attention alone the row of tokens is
laid out one example a row (`Packed.places`), where a plain causal kernel is right: it never looks
right, to the padding. The same on a CPU and a GPU. Logits are made for response tokens only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training.dataset import IGNORED

if TYPE_CHECKING:
    import torch

ATTENTION = "one_example_a_row"


def response_loss(model: Any) -> Any:
    """The model as a module from a `Packed` to the summed loss, nats.

    A sum, not a mean: a micro-batch whose responses were all cut off adds 0, not NaN.
    """
    import torch
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, _attend)
    model.set_attn_implementation(ATTENTION)

    class ResponseLoss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(
            self, ids: torch.Tensor, labels: torch.Tensor, positions: torch.Tensor,
            places: torch.Tensor, shape: tuple[int, int],
        ) -> torch.Tensor:  # fmt: skip
            hidden = self.model.model(
                input_ids=ids[None], position_ids=positions[None], use_cache=False,
                places=places, shape=shape,
            ).last_hidden_state[0]  # fmt: skip
            wanted = labels != IGNORED
            logits = self.model.lm_head(hidden[wanted])
            loss: torch.Tensor = _cross_entropy().apply(logits.float(), labels[wanted])
            return loss

    return ResponseLoss()


def _attend(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, _mask: None, *,
    places: torch.Tensor, shape: tuple[int, int], scaling: float, dropout: float = 0.0, **_: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Causal attention within each example; query, key and value are (1, heads, tokens, size)."""
    import torch

    rows, columns = shape

    def laid_out(x: torch.Tensor) -> torch.Tensor:
        x = x[0].transpose(0, 1)  # (tokens, heads, size)
        table = x.new_zeros(rows * columns, *x.shape[1:]).index_copy(0, places, x)
        return table.view(rows, columns, *x.shape[1:]).transpose(1, 2)

    found = torch.nn.functional.scaled_dot_product_attention(
        laid_out(query), laid_out(key), laid_out(value), is_causal=True, scale=scaling,
        dropout_p=dropout, enable_gqa=query.shape[1] != key.shape[1],
    )  # fmt: skip
    flat = found.transpose(1, 2).reshape(rows * columns, *query.shape[1::2])
    return flat.index_select(0, places)[None], None


def _cross_entropy() -> Any:
    """Summed cross-entropy; log-probabilities, then the gradient, take the logits' place in memory.

    Of a vocabulary of 49,152 the logits are the largest tensor of a step by far; torch's own
    writes three more of their size.
    """
    import torch

    class CrossEntropy(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            torch.log_softmax(logits, 1, out=logits)
            chosen = logits.gather(1, labels[:, None])
            gradient = logits.exp_()
            gradient.scatter_add_(1, labels[:, None], torch.full_like(chosen, -1.0))
            ctx.save_for_backward(gradient)
            return -chosen.sum()

        @staticmethod
        def backward(ctx: Any, scale: torch.Tensor) -> tuple[torch.Tensor, None]:
            (gradient,) = ctx.saved_tensors
            return gradient.mul_(scale), None

    return CrossEntropy
