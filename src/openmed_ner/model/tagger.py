"""An encoder with one linear head per corpus on top of a single pass.

Each training example updates only the heads of the corpora that annotate it, so guidelines stay
separate. Any number of label sets costs one forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig
from transformers.utils import logging

from openmed_ner.errors import RecipeError
from openmed_ner.model.architectures import find_architecture, longest_input
from openmed_ner.model.dropout import replace_dropout
from openmed_ner.model.lora import use_lora
from openmed_ner.tagging.batching import LongArray
from openmed_ner.tagging.heads import FloatArray, Head
from openmed_ner.terminologies import PLACES, TAGS, TYPES

WAITING = ("cuda",)
"""Types of devices that compute while the program goes on, until it asks for a result."""


class LexiconEmbedding(nn.Module):
    """Vectors of lexicon tags, added to those of the subwords.

    All vectors are zero at first, so a model that was trained without a lexicon is unchanged.

    Attributes:
        dropout: share of types whose tags are dropped from a whole window in training, so that the model does
            not rely on them.
    """

    SCALE = 8.0
    """Factor of the vectors. AdamW moves a weight by about the learning rate in a step, so vectors that start
    at zero would otherwise take a whole training run to become as long as those of subwords."""
    places: Tensor
    first_rows: Tensor

    def __init__(self, size: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        # Not drawn and then zeroed, so that other weights are those of a model without a lexicon.
        self.table = nn.Embedding.from_pretrained(torch.zeros(len(TYPES) * len(TAGS), size), freeze=False)
        self.register_buffer("places", torch.from_numpy(PLACES.astype(np.int64)), persistent=False)
        first_rows = len(TAGS) * torch.arange(len(TYPES))
        self.register_buffer("first_rows", first_rows, persistent=False)

    def forward(self, packed: Tensor) -> Tensor:
        """Embed packed tags: ``(batch, n_subwords)`` to ``(batch, n_subwords, size)``."""
        tags = packed[..., None] // self.places % len(TAGS)
        is_name = tags > 0
        if self.training and self.dropout:
            shape = (len(packed), 1, len(TYPES))
            is_name = is_name & (torch.rand(shape, device=packed.device) >= self.dropout)
        vectors = self.table(tags + self.first_rows) * is_name[..., None]
        scaled: Tensor = self.SCALE * vectors.sum(dim=-2)
        return scaled


class TokenTagger(nn.Module):
    """Encoder and heads.

    Attributes:
        encoder: a transformers encoder, plain or with a peft adapter.
        heads: labels and tags of the outputs, in order.
        layers: one linear layer per head. Exported graphs and checkpoints contain this name.
        adapter: name of the adapter to run with, if several models share the encoder; else empty.
        lexicon: embedding of lexicon tags, if the model reads them.
    """

    def __init__(
        self,
        encoder: Any,
        heads: Sequence[Head],
        adapter: str = "",
        lexicon: LexiconEmbedding | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.adapter = adapter
        self.lexicon = lexicon
        self.heads = tuple(heads)
        layers = [nn.Linear(encoder.config.hidden_size, len(head.tags)) for head in self.heads]
        for layer in layers:
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        self.layers = nn.ModuleList(layers)

    @property
    def longest(self) -> int:
        """Most subwords the encoder reads at once, special ones included."""
        return longest_input(self.encoder.config)

    def hidden(self, ids: Tensor, mask: Tensor, lexicon_tags: Tensor | None = None) -> Tensor:
        """Compute contextual vectors.

        Args:
            ids: subword ids, ``(batch, n_subwords)``.
            mask: attention mask, ``(batch, n_subwords)``.
            lexicon_tags: lexicon tags, ``(batch, n_subwords)``; if ``None``, no name was found.

        Returns:
            ``(batch, n_subwords, n_hidden)``.
        """
        mask = expand_mask(mask, self.encoder)
        if self.lexicon is None or lexicon_tags is None:
            states: Tensor = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            return states
        vectors = self.encoder.get_input_embeddings()(ids) + self.lexicon(lexicon_tags)
        states = self.encoder(inputs_embeds=vectors, attention_mask=mask).last_hidden_state
        return states

    def forward(self, ids: Tensor, mask: Tensor, lexicon_tags: Tensor | None = None) -> Tensor:
        """Logits of all heads, ``(batch, n_subwords, n_tags)``; the arguments are those of :meth:`hidden`."""
        states = self.hidden(ids, mask, lexicon_tags)
        return torch.cat([layer(states) for layer in self.layers], dim=-1)

    @torch.inference_mode()
    def run(self, *inputs: LongArray) -> FloatArray:
        """Compute logits of arrays, as :func:`openmed_ner.tagging.predict` expects."""
        if self.adapter:
            use_lora(self.encoder, self.adapter)
        device = next(self.layers.parameters()).device
        logits = self(*(torch.from_numpy(array).to(device) for array in inputs))
        result: FloatArray = logits.float().cpu().numpy().astype(np.float32, copy=False)
        return result


def expand_mask(mask: Tensor, encoder: Any) -> Tensor:
    """Make the mask that the layers of an encoder read from that of its subwords, on a GPU.

    transformers would ask the GPU whether the mask hides anything, and so wait for it in every step.

    Args:
        mask: attention mask, ``(batch, n_subwords)``.
        encoder: plain or with an adapter.

    Returns:
        Mask of each pair of subwords, ``(batch, 1, n_subwords, n_subwords)``; on a processor, or where the
        architecture does not take it, the same mask.
    """
    config = encoder.config
    if mask.device.type not in WAITING or not find_architecture(config.model_type).takes_full_mask:
        return mask
    full = mask.bool()[:, None, None, :].expand(-1, 1, mask.shape[1], -1)
    if config._attn_implementation != "eager":
        return full
    # Eager attention adds the mask to its scores.
    return torch.zeros(full.shape, device=mask.device).masked_fill(~full, torch.finfo(torch.float32).min)


def make_lexicon(encoder: Any, *, dropout: float = 0.0) -> LexiconEmbedding:
    """Make the embedding of lexicon tags for an encoder."""
    return LexiconEmbedding(encoder.get_input_embeddings().embedding_dim, dropout=dropout)


def load_encoder(
    origin: Path | PretrainedConfig,
    *,
    dropout: float = 0.1,
    attention_dropout: float = 0.0,
    attention: str = "eager",
) -> Any:
    """Load an encoder without pooling layer, from safetensors only.

    Attention is eager by default, since the backward pass of fused attention is slow on CPUs; ``sdpa`` is for
    GPUs. Dropout of attention weights is off by default: it takes a third of a step's time on CPUs.

    Args:
        origin: folder of the backbone, or its configuration for random weights that others replace.
        dropout: share of hidden states dropped in training.
        attention_dropout: share of attention weights dropped in training.
        attention: implementation of attention in transformers.

    Raises:
        RecipeError: the architecture has no such attention.
    """
    config = load_config(origin, dropout=dropout, attention_dropout=attention_dropout)
    if attention not in (choices := find_architecture(config.model_type).attentions):
        raise RecipeError(
            f"{config.model_type!r} has no attention {attention!r}: expected {' or '.join(choices)}"
        )

    with quiet_transformers():
        if isinstance(origin, Path):
            encoder = AutoModel.from_pretrained(
                origin,
                use_safetensors=True,
                attn_implementation=attention,
                dtype=torch.float32,
                config=config,
            )
        else:
            with torch.random.fork_rng(devices=[]):  # new heads are drawn as if weights had been loaded
                encoder = AutoModel.from_config(config, attn_implementation=attention, dtype=torch.float32)

    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # unused here, and would be saved with full bundles
    replace_dropout(encoder)
    return encoder


def use_fused_attention(encoder: Any, device: torch.device) -> None:
    """Let an encoder compute attention in fused kernels on a GPU, if its architecture has them.

    Args:
        encoder: plain or with an adapter; changed in place.
        device: device that it computes on.
    """
    base: Any = encoder.get_base_model() if isinstance(encoder, PeftModel) else encoder
    if device.type == "cuda" and "sdpa" in find_architecture(base.config.model_type).attentions:
        base.set_attn_implementation("sdpa")


def keep_layers(encoder: Any, layers: Sequence[int]) -> None:
    """Remove layers from an encoder, for a smaller and faster model.

    Args:
        encoder: plain or with an adapter; changed in place.
        layers: numbers of the layers to keep, from 0; all if empty.

    Raises:
        RecipeError: the encoder has no such layer, or the path of its layers is unknown.
    """
    if not layers:
        return
    base: Any = encoder.get_base_model() if isinstance(encoder, PeftModel) else encoder
    path = find_architecture(base.config.model_type).layers
    if not path:
        raise RecipeError(f"layers: removing layers from {base.config.model_type!r} is not supported")

    owner, _, name = path.rpartition(".")
    parent = base.get_submodule(owner)
    present = getattr(parent, name)
    if (last := max(layers)) >= len(present):
        raise RecipeError(f"layers: there is no layer {last}; the backbone has 0 to {len(present) - 1}")
    setattr(parent, name, nn.ModuleList(present[number] for number in layers))
    base.config.num_hidden_layers = len(layers)


def load_config(origin: Path | PretrainedConfig, *, dropout: float, attention_dropout: float) -> Any:
    """Load or copy an encoder's configuration and set its dropout, under the names of its architecture."""
    config = AutoConfig.from_pretrained(origin) if isinstance(origin, Path) else deepcopy(origin)
    architecture = find_architecture(config.model_type)
    settings = ((architecture.dropout, dropout), (architecture.attention_dropout, attention_dropout))
    for names, value in settings:
        for name in names:
            if hasattr(config, name):
                setattr(config, name, value)
    return config


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence progress bars, and reports about unused weights."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        logging.enable_progress_bar()


def checkpoint_activations(encoder: Any) -> None:
    """Make an encoder recompute activations in the backward pass instead of storing them."""
    newer = getattr(encoder, "activation_checkpointing_enable", None)  # transformers renamed it
    (newer or encoder.gradient_checkpointing_enable)({"use_reentrant": False})


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Trainable and total number of parameters."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, trains in sizes if trains), sum(size for size, _ in sizes)
