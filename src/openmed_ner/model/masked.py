"""An encoder with a head that predicts masked subwords.

Logits are computed at the masked positions only. At all positions, over a vocabulary of 30,000, they would
cost more than the encoder. The head is the architecture's own, tied to the input embeddings. Encoders that
were released without a trained head (sentence encoders, discriminators) get a new one, which must be trained
first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM

from openmed_ner.errors import InputError
from openmed_ner.model.architectures import ARCHITECTURES, find_architecture
from openmed_ner.model.dropout import replace_dropout
from openmed_ner.model.tagger import expand_mask, load_config, quiet_transformers


class MaskedLanguageModel(nn.Module):
    """Encoder and language-modelling head.

    Attributes:
        encoder: a transformers encoder, plain or with a peft adapter.
        head: hidden states to logits over the vocabulary; its last weight is that of the input embeddings.
        head_is_trained: if true, the head was loaded with weights.
    """

    def __init__(self, encoder: Any, head: nn.Sequential, *, head_is_trained: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.head_is_trained = head_is_trained

    def forward(self, ids: Tensor, mask: Tensor, chosen: Tensor) -> Tensor:
        """Logits at the chosen positions: three ``(batch, n_subwords)`` to ``(n_chosen, n_vocabulary)``."""
        mask = expand_mask(mask, self.encoder)
        states: Tensor = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        logits: Tensor = self.head(states[chosen])
        return logits

    def head_weights(self) -> dict[str, Tensor]:
        """The head's weights by name, without the shared embeddings."""
        shared = {id(parameter) for parameter in self.encoder.parameters()}
        return {
            name: parameter.detach()
            for name, parameter in self.head.named_parameters()
            if id(parameter) not in shared
        }


def load_masked(folder: Path, *, dropout: float = 0.0, attention_dropout: float = 0.0) -> MaskedLanguageModel:
    """Load an encoder and its language-modelling head, from safetensors only.

    Raises:
        InputError: the architecture has no known head.
    """
    config = load_config(folder, dropout=dropout, attention_dropout=attention_dropout)
    if not (names := find_architecture(config.model_type).lm_head):
        raise InputError(
            f"the language-modelling head of {config.model_type!r} is not known; "
            f"known: {', '.join(ARCHITECTURES)}"
        )

    with quiet_transformers():
        model, report = AutoModelForMaskedLM.from_pretrained(
            folder,
            use_safetensors=True,
            attn_implementation="eager",  # as for fine-tuning: see load_encoder
            dtype=torch.float32,
            config=config,
            output_loading_info=True,
        )
    replace_dropout(model)
    head = nn.Sequential(*(model.get_submodule(name) for name in names))
    # Weights that were not in the file were initialised at random, and are reported as missing.
    trained = not any(key.startswith(names) for key in report["missing_keys"])
    return MaskedLanguageModel(model.base_model, head, head_is_trained=trained)
