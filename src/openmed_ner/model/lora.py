"""LoRA on an encoder: peft builds, saves and merges the adapter; this module computes a training step.

Low-rank adaptation (Hu et al., 2021) computes ``x W' + s (x A') B'``. On a CPU the extra additions,
casts and dropout over whole activations made peft's layer a fifth slower than full fine-tuning of
MiniLM. :class:`LoraLinear` folds ``W + s B A`` once per step, which costs ``rank / n_subwords`` of one
product, and needs no gradient of ``W``: two thirds of the large products of full fine-tuning remain.
It has no dropout on the adapter's input; with that setting, peft's own layer is used.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners import lora
from peft.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME
from safetensors import safe_open
from torch import Tensor, nn

from openmed_ner.errors import BundleError, RecipeError
from openmed_ner.model.architectures import find_architecture

ADAPTER = "default"
ADAPTED = "adapted"
"""Name of an earlier, frozen adapter below the one that is trained."""


class LoraLinear(lora.Linear):
    """peft's linear layer with a folded weight; peft computes every case that cannot be folded."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Apply the layer: ``(…, n_in)`` to ``(…, n_out)``."""
        plain = not (args or kwargs or self.merged or self.disable_adapters or self.lora_variant)
        *frozen, top = [name for name in self.active_adapters if name in self.lora_A] or [""]
        foldable = plain and top and set(frozen) <= {ADAPTED}
        dropout = self.training and foldable and not isinstance(self.lora_dropout[top], nn.Identity)
        if not foldable or dropout:
            result: Tensor = super().forward(x, *args, **kwargs)
            return result

        weight: Any = self.base_layer.weight
        for name in frozen:
            with torch.autocast(x.device.type, enabled=False), torch.no_grad():
                weight = weight + self.get_delta_weight(name)
        folded: Tensor = _FoldedLinear.apply(
            x,
            weight,
            self.base_layer.bias,
            self.lora_A[top].weight,
            self.lora_B[top].weight,
            self.scaling[top],
        )
        return folded


class _FoldedLinear(torch.autograd.Function):
    """``x (W + s B A)' + b`` with gradients for ``x``, ``A`` and ``B`` only."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float
    ) -> Tensor:
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        with torch.autocast(device, enabled=False):
            x = x.to(dtype)
            folded = torch.addmm(weight, b, a, alpha=scale).to(dtype)
            ctx.save_for_backward(x, folded, a, b)
            ctx.scale = scale
            return nn.functional.linear(x, folded, None if bias is None else bias.to(dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # W is frozen: its gradient, as large a product as the forward pass, is never computed.
        x, folded, a, b = ctx.saved_tensors
        with torch.autocast(grad.device.type, enabled=False):
            grad_x = grad @ folded if ctx.needs_input_grad[0] else None
            flat_x, flat_grad = x.flatten(0, -2), grad.flatten(0, -2)
            grad_a = (flat_grad @ b.to(grad.dtype)).t() @ flat_x
            grad_b = flat_grad.t() @ (flat_x @ a.to(x.dtype).t())
            return grad_x, None, None, ctx.scale * grad_a.to(a.dtype), ctx.scale * grad_b.to(b.dtype), None


def attach_lora(encoder: Any, *, rank: int, alpha: float, dropout: float, targets: str) -> PeftModel:
    """Freeze an encoder and add a trainable adapter to it.

    Args:
        encoder: the encoder, changed in place; an existing adapter stays, frozen, below the new one.
        rank: inner dimension of the update.
        alpha: the update is scaled by ``alpha / rank``.
        dropout: share of the adapter's input that is dropped in training.
        targets: ``query-value``, ``all-linear``, or names of linear layers separated by commas.

    Raises:
        RecipeError: the encoder has no layer of the names in ``targets``.
    """
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # annotated int, used as a factor
        lora_dropout=dropout,
        target_modules=_target_modules(encoder, targets),
    )
    config._register_custom_module({nn.Linear: LoraLinear})
    with quiet_peft():
        try:
            if not isinstance(encoder, PeftModel):
                return get_peft_model(encoder, config)
            encoder.add_adapter(ADAPTER, config)
            return use_lora(encoder, ADAPTER)
        except ValueError as error:
            raise RecipeError(f"lora.targets = {targets!r}: {error}") from error


def load_lora(encoder: Any, folder: str, *, name: str = ADAPTER) -> PeftModel:
    """Load a saved adapter onto a frozen encoder, beside its existing ones, and use it.

    Raises:
        BundleError: a file of the adapter is missing, or it has other tensors than its settings say.
    """
    for file in (CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME):  # peft would ask the hub for a missing one
        if not (Path(folder) / file).is_file():
            raise BundleError(f"{folder}: the adapter has no {file}")
    config = LoraConfig.from_pretrained(folder)
    config._register_custom_module({nn.Linear: LoraLinear})
    with quiet_peft():
        if not isinstance(encoder, PeftModel):
            model = PeftModel.from_pretrained(encoder, folder, adapter_name=name, config=config)
        else:
            encoder.add_adapter(name, config)
            encoder.load_adapter(folder, adapter_name=name)
            model = use_lora(encoder, name)

    # peft leaves tensors that it does not find as they are, and passes over others.
    expected = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    with safe_open(Path(folder) / SAFETENSORS_WEIGHTS_NAME, framework="pt") as weights:
        if different := sorted(expected.keys() ^ set(weights.keys())):
            raise BundleError(f"{folder}: tensor {different[0]} is missing, or belongs to no adapter")
    return model


def use_lora(model: PeftModel, name: str) -> PeftModel:
    """Use one adapter, above the adapter ``adapted`` if there is one; only this one can be trained."""
    tuner: Any = model.base_model
    tuner.set_adapter([ADAPTED, name] if ADAPTED in model.peft_config else [name])
    for parameter_name, parameter in model.named_parameters():
        parameter.requires_grad_(f".{name}." in parameter_name)
    return model


def _target_modules(encoder: Any, targets: str) -> str | list[str]:
    if targets == "all-linear":
        return targets
    if targets != "query-value":
        return [name.strip() for name in targets.split(",")]
    kind = encoder.config.model_type
    if not (names := find_architecture(kind).query_value):
        raise RecipeError(
            f"the query and value layers of {kind!r} are unknown; name them in lora.targets, with commas, "
            f'or set lora.targets = "all-linear"'
        )
    return list(names)


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Silence a deprecation between peft and transformers that no user can fix."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        yield
