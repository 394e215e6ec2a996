"""The differences between the supported architectures, as one table.

Names of layers and settings are the names in transformers, and ``config.model_type`` is the key. An
architecture that is not in the table can still be fine-tuned, since LoRA on all linear layers needs no names.
A recipe has to name its query and value projections, and its language-modelling head is not found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from openmed_ner.errors import RecipeError

Subwords = Literal["WordPiece", "SentencePiece", "byte-level"]
VOCABULARY_FILES: Mapping[Subwords, tuple[str, ...]] = {
    "WordPiece": ("vocab.txt",),
    "SentencePiece": ("spm.model", "sentencepiece.bpe.model"),
    "byte-level": ("vocab.json", "merges.txt"),
}
"""Files from which a ``tokenizer.json`` can be made."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Facts about the encoders of one ``model_type``.

    Attributes:
        query_value: names of the query and value projections.
        layers: path of the list of layers, for a model that keeps only some of them; empty if layers depend
            on their place, or the path is unknown.
        lm_head: modules of the language-modelling head, in the order they are applied.
        subwords: usual kind of its vocabularies.
        dropout: settings of the dropout in hidden layers.
        attention_dropout: settings of the dropout of attention weights.
        counts_after_padding: if true, positions begin behind the id of the padding subword, so there are
            fewer of them.
        attentions: available implementations of attention.
        halves: 16-bit types it can be trained in.
        takes_full_mask: if true, it takes a mask of each pair of subwords as well as one of each subword.
    """

    query_value: tuple[str, ...] = ("query", "value")
    layers: str = "encoder.layer"
    lm_head: tuple[str, ...] = ("lm_head",)
    subwords: Subwords = "WordPiece"
    dropout: tuple[str, ...] = ("hidden_dropout_prob",)
    attention_dropout: tuple[str, ...] = ("attention_probs_dropout_prob",)
    counts_after_padding: bool = False
    attentions: tuple[str, ...] = ("eager", "sdpa")
    halves: tuple[str, ...] = ("bf16", "fp16")
    takes_full_mask: bool = True


ARCHITECTURES: Mapping[str, Architecture] = {
    "bert": Architecture(lm_head=("cls",)),
    "deberta-v2": Architecture(
        query_value=("query_proj", "value_proj"),
        lm_head=("cls",),
        subwords="SentencePiece",
        attentions=("eager",),
        halves=("bf16",),  # fp16 overflows in mDeBERTa: github.com/microsoft/DeBERTa/issues/77
        takes_full_mask=False,
    ),
    "distilbert": Architecture(
        query_value=("q_lin", "v_lin"),
        layers="transformer.layer",
        lm_head=("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),
        dropout=("dropout",),
        attention_dropout=("attention_dropout",),
    ),
    "electra": Architecture(lm_head=("generator_predictions", "generator_lm_head")),
    "modernbert": Architecture(
        query_value=("Wqkv",),
        layers="",
        lm_head=("head", "decoder"),
        subwords="byte-level",
        dropout=("embedding_dropout", "mlp_dropout"),
        attention_dropout=("attention_dropout",),
        takes_full_mask=False,  # its layers read different parts of a row
    ),
    "mpnet": Architecture(query_value=("q", "v"), counts_after_padding=True, attentions=("eager",)),
    "roberta": Architecture(subwords="byte-level", counts_after_padding=True),
    "xlm-roberta": Architecture(subwords="SentencePiece", counts_after_padding=True),
}

UNKNOWN = Architecture(
    query_value=(),
    layers="",
    lm_head=(),
    dropout=("hidden_dropout_prob", "dropout", "embedding_dropout", "mlp_dropout"),
    attention_dropout=("attention_probs_dropout_prob", "attention_dropout"),
    attentions=("eager",),
    halves=("bf16",),
    takes_full_mask=False,
)
"""Guesses for any other architecture."""


def find_architecture(model_type: str) -> Architecture:
    """Look up an architecture; ``UNKNOWN`` if it is not in the table."""
    return ARCHITECTURES.get(model_type, UNKNOWN)


def longest_input(config: Any) -> int:
    """Return the most subwords that an encoder reads at once, special ones included."""
    longest = int(config.max_position_embeddings)
    if find_architecture(config.model_type).counts_after_padding:
        return longest - int(config.pad_token_id) - 1
    return longest


def check_fit(config: Any, *, backbone: str, window: int, precision: str) -> None:
    """Check that an encoder can be trained with the settings of a recipe.

    Args:
        config: the encoder's transformers configuration.
        backbone: its name in the recipe.
        window: number of subwords read at once.
        precision: precision of the arithmetic.

    Raises:
        RecipeError: the windows are too long for the encoder, or it overflows in that precision.
    """
    if window > (longest := longest_input(config)):
        raise RecipeError(f"window = {window}: {backbone} reads at most {longest} subwords")
    if precision == "fp16" and precision not in find_architecture(config.model_type).halves:
        raise RecipeError(f"schedule.precision = 'fp16': {backbone} may overflow; expected bf16 or fp32")
