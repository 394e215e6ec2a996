"""Save a model as an adapter or full bundle, and load it back to the last bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from peft import PeftModel
from safetensors.torch import load, load_file, save_file
from torch import Tensor, nn
from transformers import PretrainedConfig

from openmed_ner.bundle import BackboneReference, Bundle
from openmed_ner.bundle.manifest import MODEL, TOKENIZER
from openmed_ner.errors import (
    BundleError,
    InputError,
    OpenMedError,
    RecipeError,
    RunError,
    is_memory_shortage,
)
from openmed_ner.model.backbones import BACKBONES, find_backbone, make_config, weights_sha256
from openmed_ner.model.lora import ADAPTED, ADAPTER, load_lora
from openmed_ner.model.rounding import restore_tensors
from openmed_ner.model.tagger import (
    LexiconEmbedding,
    TokenTagger,
    keep_layers,
    load_encoder,
    make_lexicon,
)
from openmed_ner.tagging import Head, WindowReader

HEADS = "heads.safetensors"
ENCODER = "encoder.safetensors"
LEXICON_WEIGHTS = "lexicon.safetensors"
LM_HEAD_WEIGHTS = "lm_head.safetensors"


@dataclass(frozen=True, slots=True)
class Origin:
    """The encoder that a run begins with.

    Attributes:
        encoder: folder of the backbone, or its configuration alone if a trained model has all weights.
        reference: description of the backbone.
        tokenizer_json: content of its ``tokenizer.json``.
    """

    encoder: Path | PretrainedConfig
    reference: BackboneReference
    tokenizer_json: str


def find_origin(name: str, start: Bundle | None = None) -> Origin:
    """Find the encoder of a run. No file of the backbone is needed if the start has all weights.

    Args:
        name: backbone, see :func:`openmed_ner.model.backbones.find_backbone`.
        start: trained model that the run starts from.

    Raises:
        InputError, RunError: the backbone is needed, and is unknown or cannot be fetched.
    """
    if start is not None and start.manifest.kind != "adapter" and TOKENIZER in start.manifest.files:
        reference = start.manifest.backbone
        config = make_config(reference.name, reference.sha256) if reference.name == name else None
        if config is not None:
            return Origin(config, reference, start.read(TOKENIZER).decode("utf-8"))

    folder = find_backbone(name)
    content = (folder / TOKENIZER).read_text(encoding="utf-8")
    return Origin(folder, describe_backbone(name, folder), content)


def describe_backbone(name: str, folder: Path) -> BackboneReference:
    """Describe a backbone for a manifest, without its local path."""
    sha256 = weights_sha256(folder)
    if row := BACKBONES.get(name):
        return BackboneReference(name, row.hub_id, row.revision, sha256, row.licence)
    hub_id, _, revision = name.partition("@")
    if not revision:
        hub_id = folder.resolve().name
    return BackboneReference(name if revision else hub_id, hub_id, revision, sha256, "unknown")


def save_model(
    model: TokenTagger, folder: Path, *, name: str, backbone: BackboneReference, adapted: Bundle | None = None
) -> None:
    """Write the weights that fine-tuning changed, and the weights of the adaptation below them.

    The heads are written beside the encoder or adapter (see :func:`save_encoder`), the adaptation to its own
    folder.

    Args:
        model: encoder and heads.
        folder: an existing folder.
        name: name of the bundle.
        backbone: the backbone of the encoder.
        adapted: bundle of the adapted encoder that training began with, if any.
    """
    target = save_encoder(model.encoder, folder, name=name, backbone=backbone)
    heads = {
        f"{head.corpus}.{kind}": value.contiguous()
        for head, layer in zip(model.heads, model.layers, strict=True)
        for kind, value in layer.state_dict().items()
    }
    save_file(heads, target / HEADS)
    if model.lexicon is not None:
        save_file(model.lexicon.state_dict(), target / LEXICON_WEIGHTS)
    if adapted is not None and isinstance(model.encoder, PeftModel):
        (folder / ADAPTED).mkdir()
        for path in _adapted_files(adapted):
            (folder / ADAPTED / path.name).write_bytes(adapted.read(path.as_posix()))


def apply_adaptation(encoder: Any, folder: Path, *, mode: str) -> Any:
    """Load the weights of an adapted encoder onto its backbone.

    Args:
        encoder: the backbone, changed in place.
        folder: an adapter in peft's format, or a whole encoder.
        mode: ``merged`` or ``stacked``, see :class:`openmed_ner.bundle.manifest.Adaptation`.
    """
    if (folder / ENCODER).is_file():
        encoder.load_state_dict(restore_tensors(load_file(folder / ENCODER)))
        return encoder
    adapted = load_lora(encoder, str(folder), name=ADAPTED)
    if mode == "stacked":
        return adapted
    return adapted.merge_and_unload().requires_grad_(True)  # peft leaves merged weights frozen


def adapted_weights(bundle: Bundle) -> Path:
    """Return the folder in an adapted encoder's bundle that :func:`apply_adaptation` reads.

    Raises:
        BundleError: the bundle has heads, or torch cannot load it.
    """
    manifest = bundle.manifest
    if manifest.heads or manifest.kind == "runtime":
        raise BundleError(f"{bundle.folder} is a model with heads; expected an adapted encoder")
    return bundle.folder / "adapter" / manifest.name if manifest.kind == "adapter" else bundle.folder


def _adapted_files(bundle: Bundle) -> list[PurePosixPath]:
    """Paths of the weights of an adapted encoder within its bundle."""
    if bundle.manifest.kind == "full":
        return [PurePosixPath(ENCODER)]
    folder = PurePosixPath("adapter") / bundle.manifest.name
    return [path for path in map(PurePosixPath, bundle.manifest.files) if path.parent == folder]


def save_encoder(encoder: Any, folder: Path, *, name: str, backbone: BackboneReference) -> Path:
    """Write the weights of an encoder that training changed.

    An adapter goes to ``adapter/<name>`` in peft's own format; a fully trained encoder is written whole.

    Returns:
        The folder they were written to.
    """
    if not isinstance(encoder, PeftModel):
        weights = {key: value.contiguous() for key, value in encoder.state_dict().items()}
        save_file(weights, folder / ENCODER)
        return folder

    target = folder / "adapter" / name
    for config in encoder.peft_config.values():
        config.base_model_name_or_path = backbone.hub_id
        config.revision = backbone.revision or None
    encoder.save_pretrained(
        str(target),
        save_embedding_layers=False,  # "auto" sends a request to the hub
        selected_adapters=[ADAPTER],
    )
    (target / "README.md").unlink(missing_ok=True)
    return target


def load_model(bundle: Bundle) -> TokenTagger:
    """Load an adapter or full bundle onto its backbone, or the rounded weights of a runtime bundle.

    Raises:
        BundleError: its weights do not fit, or cannot be read from its graph.
        InputError: the backbone differs from the bundle's.
    """
    if bundle.manifest.kind == "runtime":
        return _load_runtime(bundle)
    (model,) = load_models([bundle])
    return model


def _load_runtime(bundle: Bundle) -> TokenTagger:
    from openmed_ner.model.onnx_weights import read_weights

    if (bundle.manifest.precision, bundle.manifest.backend) == ("int8-static", "openvino"):
        raise BundleError(
            f"{bundle.folder} is int8-static for OpenVINO, and its weights cannot be read back; expected a "
            "bundle for ONNX Runtime"
        )
    bundle.require_heads()
    with _refuse_damaged(bundle):
        encoder = _load_backbone(bundle)
        lexicon = make_lexicon(encoder) if bundle.manifest.lexicon else None
        model = TokenTagger(encoder, bundle.manifest.heads, lexicon=lexicon)
        _load(model, read_weights(bundle.read(MODEL)), bundle)
    return model.eval()


def load_models(bundles: Sequence[Bundle]) -> Iterator[TokenTagger]:
    """Yield the models of several bundles; adapters of one encoder share its weights.

    Raises:
        BundleError: a bundle is a runtime bundle, or its weights do not fit.
        InputError: a backbone differs from its bundle's.
    """
    shared: dict[object, Any] = {}
    for number, bundle in enumerate(bundles):
        if bundle.manifest.kind == "runtime":
            raise BundleError(f"{bundle.folder} is a runtime bundle, and torch cannot load its graph")
        bundle.require_heads()
        with _refuse_damaged(bundle):
            if bundle.manifest.kind == "full":
                model = _load_full(bundle)
            else:
                model = _load_adapter(bundle, f"{ADAPTER}-{number}" if number else ADAPTER, shared)
        yield model


def _load_full(bundle: Bundle) -> TokenTagger:
    encoder = _load_backbone(bundle)
    _load(encoder, restore_tensors(load(bundle.read(ENCODER))), bundle)
    model = TokenTagger(encoder, bundle.manifest.heads, lexicon=_load_lexicon(encoder, bundle))
    return _load_heads(model, bundle, HEADS)


def _load_adapter(bundle: Bundle, name: str, shared: dict[object, Any]) -> TokenTagger:
    """Load an adapter, by a name of its own, onto its encoder, which it shares with others."""
    manifest = bundle.manifest
    base = manifest.backbone.sha256, manifest.adaptation, manifest.encoder_layers
    if base not in shared:
        shared[base] = _load_backbone(bundle)

    folder = f"adapter/{manifest.name}"
    shared[base] = load_lora(shared[base], str(bundle.folder / folder), name=name)
    lexicon = _load_lexicon(shared[base], bundle, f"{folder}/")
    model = TokenTagger(shared[base], manifest.heads, name, lexicon)
    return _load_heads(model, bundle, f"{folder}/{HEADS}")


@contextmanager
def _refuse_damaged(bundle: Bundle) -> Iterator[None]:
    """Turn any error of loading weights into one that names the bundle.

    Raises:
        BundleError: the weights, or the settings of the adapter, cannot be loaded.
        RunError: there is not enough memory.
    """
    try:
        yield
    except Exception as error:  # peft, safetensors and torch have no common base
        if is_memory_shortage(error):
            raise RunError(f"{bundle.folder}: not enough memory to load its weights: {error}") from error
        if isinstance(error, OpenMedError):
            raise
        raise BundleError(
            f"{bundle.folder}: its weights cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def make_reader(bundle: Bundle, heads: Sequence[Head] = ()) -> WindowReader:
    """Make the reader of a bundle's model, with its tokenizer and windows.

    Args:
        bundle: a bundle with heads.
        heads: heads to decode, in the order of the outputs; all heads of the bundle if empty.
    """
    manifest = bundle.manifest
    return WindowReader(
        bundle.read_tokenizer(),
        tuple(heads) or manifest.heads,
        manifest.window,
        manifest.overlap,
        matcher=bundle.read_matcher(),
    )


def merge_adapter(model: TokenTagger) -> TokenTagger:
    """Fold a LoRA adapter into the encoder's weights; a model without one is returned unchanged."""
    if not isinstance(model.encoder, PeftModel):
        return model
    merged = TokenTagger(model.encoder.merge_and_unload(), model.heads, lexicon=model.lexicon)
    merged.layers.load_state_dict(model.layers.state_dict())
    return merged.eval()


def _load_backbone(bundle: Bundle) -> Any:
    """Load the encoder below a bundle's weights: its backbone, adaptation and remaining layers.

    A bundle that is no adapter replaces all weights, so no file of a standard backbone is needed.
    """
    manifest = bundle.manifest
    reference = manifest.backbone
    config = None if manifest.kind == "adapter" else make_config(reference.name, reference.sha256)
    encoder = load_encoder(config or _find_matching(bundle))
    if manifest.adaptation is not None and manifest.kind == "adapter":
        encoder = apply_adaptation(encoder, bundle.folder / ADAPTED, mode=manifest.adaptation.mode)
    try:
        keep_layers(encoder, manifest.encoder_layers)
    except RecipeError as error:
        raise BundleError(f"{bundle.folder}: {error}") from error
    return encoder


def _find_matching(bundle: Bundle) -> Path:
    """Find the backbone of a bundle, and compare its digest.

    Raises:
        InputError: it has other weights.
    """
    reference = bundle.manifest.backbone
    folder = find_backbone(reference.name)
    sha256 = weights_sha256(folder, for_adapter=bundle.manifest.kind == "adapter")
    if sha256 != reference.sha256:
        raise InputError(f"{folder}: SHA-256 is {sha256}, but the bundle was made from {reference.sha256}")
    return folder


def _load_heads(model: TokenTagger, bundle: Bundle, name: str) -> TokenTagger:
    weights = load(bundle.read(name))
    for head, layer in zip(model.heads, model.layers, strict=True):
        prefix = f"{head.corpus}."
        tensors = {
            key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)
        }
        _load(layer, tensors, bundle)
    return model.eval()


def _load_lexicon(encoder: Any, bundle: Bundle, folder: str = "") -> LexiconEmbedding | None:
    """Load the embedding of lexicon tags, if the bundle has a lexicon."""
    if bundle.manifest.lexicon is None:
        return None
    lexicon = make_lexicon(encoder)
    _load(lexicon, load(bundle.read(f"{folder}{LEXICON_WEIGHTS}")), bundle)
    return lexicon


def _load(module: nn.Module, weights: dict[str, Tensor], bundle: Bundle) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise BundleError(f"{bundle.folder}: the weights do not fit the model: {error}") from error
