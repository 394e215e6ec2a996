"""The size of an encoder in closed form: its parameters, its LoRA parameters, and its arithmetic.

A study's plan needs these numbers before anything is loaded. The formulas hold for the usual configurations
of the supported architectures. A configuration with convolutions, additional biases or DeBERTa's projections
of distances is refused instead of being miscounted. Tests compare the counts with transformers, peft and
torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from openmed_ner.errors import InputError
from openmed_ner.model.architectures import ARCHITECTURES

Targets = Literal["query-value", "all-linear"]
Trained = Literal["nothing", "lora", "all"]
V3: Mapping[str, object] = {"share_att_key": True, "norm_rel_ebd": "layer_norm"}
"""Settings of DeBERTa-v3: shared projections of distances, and a normed table. Version 1 differs."""
UNCOUNTED = ("conv_kernel_size", "attention_bias", "mlp_bias", "norm_bias")
"""Settings for additional parameters, which the formulas leave out."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of an encoder, without its pooling layer.

    Attributes:
        architecture: ``model_type`` of transformers.
        vocabulary: number of subwords.
        embedding: dimensions of the subwords' embeddings.
        hidden: dimensions of the hidden states.
        layers: number of layers.
        heads: attention heads per layer.
        intermediate: dimensions inside the feed-forward network.
        positions: rows of the table of absolute positions; 0 without one.
        token_types: rows of the table of segments.
        relative: buckets of relative distances, in both directions together; 0 without relative attention.
    """

    architecture: str
    vocabulary: int
    embedding: int
    hidden: int
    layers: int
    heads: int
    intermediate: int
    positions: int = 512
    token_types: int = 2
    relative: int = 0

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Read the shape from a transformers configuration.

        Raises:
            InputError: the formulas do not hold for such an encoder.
        """
        kind = config.model_type
        added = [name for name in UNCOUNTED if getattr(config, name, 0)]
        if getattr(config, "relative_attention", False):
            added += [
                f"another {name} than {v3}" for name, v3 in V3.items() if getattr(config, name, "") != v3
            ]
        if kind not in ARCHITECTURES or added:
            raise InputError(
                f"the size of {kind!r}{' with ' + ', '.join(added) if added else ''} is not known; known: "
                f"{', '.join(ARCHITECTURES)} in their usual configuration. Load the encoder and count instead"
            )

        absolute = kind != "modernbert" and getattr(config, "position_biased_input", True)
        return cls(
            architecture=kind,
            vocabulary=config.vocab_size,
            embedding=getattr(config, "embedding_size", config.hidden_size),
            hidden=config.hidden_size,
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            intermediate=config.hidden_dim if kind == "distilbert" else config.intermediate_size,
            positions=config.max_position_embeddings if absolute else 0,
            token_types=0 if kind in ("distilbert", "modernbert", "mpnet") else config.type_vocab_size,
            relative=_count_buckets(config),
        )

    @property
    def n_parameters(self) -> int:
        """Number of parameters of the encoder."""
        tables = (self.vocabulary + self.positions + self.token_types) * self.embedding
        if self._gated:
            norms = 2 * self.layers * self.hidden + self.hidden  # the first layer lacks one of its two
            return tables + self.layers * self._products + norms
        # Biases of 4 projections and of 2 feed-forward layers, then weight and bias of 2 norms.
        biases_and_norms = 4 * self.hidden + (self.intermediate + self.hidden) + 4 * self.hidden
        return tables + self._projection + self._relative + self.layers * (self._products + biases_and_norms)

    @property
    def _gated(self) -> bool:
        """True for the layers of ModernBERT, with a gate and without biases."""
        return self.architecture == "modernbert"

    @property
    def _products(self) -> int:
        """Weights of a layer: 4 projections for attention, 2 or 3 (gated) for the feed-forward network."""
        return 4 * self.hidden**2 + (3 if self._gated else 2) * self.hidden * self.intermediate

    @property
    def _projection(self) -> int:
        """Parameters of the embeddings' norm, and of their projection to the hidden size."""
        if self.architecture == "deberta-v2":
            projected = self.embedding * self.hidden if self.embedding != self.hidden else 0
            return projected + 2 * self.hidden
        projected = (self.embedding + 1) * self.hidden if self.embedding != self.hidden else 0
        return projected + 2 * self.embedding

    @property
    def _relative(self) -> int:
        """Tables of relative distances: a normed vector each in DeBERTa, a number per head in MPNet."""
        if self.architecture == "mpnet":
            return self.relative * self.heads
        return (self.relative + 2) * self.hidden if self.relative else 0

    def lora_parameters(self, rank: int, targets: Targets = "query-value") -> int:
        """Number of parameters of an adapter: ``rank`` times inputs and outputs of each adapted layer.

        Args:
            rank: inner dimension of the update.
            targets: ``query-value`` or ``all-linear``. ModernBERT's single product for query, key and value
                counts as both, and gives the same number.
        """
        if targets == "query-value":
            return rank * self.layers * 4 * self.hidden
        if self._gated:
            per_layer = 8 * self.hidden + 3 * self.intermediate
        else:
            per_layer = 10 * self.hidden + 2 * self.intermediate
        projection = self.embedding + self.hidden if self.embedding != self.hidden else 0
        return rank * (self.layers * per_layer + projection)

    def trained_share(self, rank: int, targets: Targets = "query-value", *, n_tags: int = 0) -> float:
        """Trained share of a tagger's parameters: adapter, and heads with ``n_tags`` tags in all."""
        trained = self.lora_parameters(rank, targets) + n_tags * (self.hidden + 1)
        return trained / (self.n_parameters + trained)

    def flops(self, window: int, *, trained: Trained = "nothing") -> float:
        """Floating-point operations per subword in windows of some length; a multiply-add counts as 2.

        Forward, a layer has its products (2 per weight), and attention has 4 per dimension and neighbour.
        DeBERTa scores each subword against every relative distance twice: 4 per dimension and distance.
        Backward, each product has a gradient for its input (the same number again) and one for its weights,
        which LoRA does not need. Attention has no weights, so both its factors always need a gradient.

        Left out, as they are together less than a twentieth in batches of 4,096 subwords: norms, activations,
        the adapter's own arithmetic, heads, and DeBERTa's projections of distances, computed once per batch.
        A masked-language head costs another 2 * embedding * vocabulary per *masked* subword. ModernBERT's
        local attention is computed in full and masked.

        Args:
            window: number of subwords in a row.
            trained: ``nothing`` (tagging), ``lora``, or ``all``.
        """
        projection = self.embedding * self.hidden if self.embedding != self.hidden else 0
        distances = self.relative if self.architecture == "deberta-v2" else 0
        products = 2 * (self.layers * self._products + projection)
        attention = 4 * self.layers * self.hidden * (window + distances)
        of_products, of_attention = {"nothing": (1, 1), "lora": (2, 3), "all": (3, 3)}[trained]
        return float(of_products * products + of_attention * attention)


def _count_buckets(config: Any) -> int:
    """Number of buckets of relative distances, both directions together."""
    if config.model_type == "mpnet":
        return int(config.relative_attention_num_buckets)
    if not getattr(config, "relative_attention", False):
        return 0
    sizes = (getattr(config, name, -1) for name in ("position_buckets", "max_relative_positions"))
    return 2 * next((int(size) for size in sizes if size > 0), int(config.max_position_embeddings))
