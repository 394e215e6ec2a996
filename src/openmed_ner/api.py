"""The verbs of the package: load, suggest, train, pretrain, evaluate, export.

Each does what the command of the same name does, on documents in memory. What only training or evaluation
needs is imported when it is called, so that tagging works without torch and starts sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.manifest import RECORD, Precision
from openmed_ner.bundle.record import training_splits
from openmed_ner.errors import InputError, RecipeError, require_extra
from openmed_ner.inference.suggestion import Suggestion, suggest_documents
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.text import Document

if TYPE_CHECKING:
    from openmed_ner.evaluation.protocols import ScoringProtocol
    from openmed_ner.training.config import PretrainRecipe, Recipe
    from openmed_ner.training.engine.loop import StepReport

PathLike = str | Path


def load(
    bundle: PathLike | None = None,
    *,
    backend: str | None = None,
    threads: int | None = None,
    document_decoding: bool = True,
    device: str = "auto",
    processes: int = 1,
) -> Tagger:
    """Load a tagger: the embedded model, or the bundle or suite in a folder.

    Args:
        bundle: folder of a bundle, or of several that are used together; the embedded one if ``None``.
        backend: engine of a runtime bundle, ``onnxruntime`` or ``openvino``; if ``None`` the one in its
            certificate.
        threads: processor threads; all of them if ``None``.
        document_decoding: if false, every span is decided by its own place in the text, never by
            abbreviations and repeated names of the whole document.
        device: ``cpu``, ``cuda`` or ``auto``, see :meth:`Tagger.load`.
        processes: processes that read texts and decode scores beside this one, for a GPU.

    Raises:
        BundleError: the bundle is missing, damaged, tampered with or unsafe.
        MissingExtraError: torch or OpenVINO is needed, and not installed.
        RunError: no GPU is visible.
    """
    return Tagger.load(
        bundle,
        backend=backend,
        threads=threads,
        document_decoding=document_decoding,
        device=device,
        processes=processes,
    )


def suggest(
    texts: Iterable[str | Document],
    *,
    count: int = 20,
    bundle: Tagger | PathLike | None = None,
    labelled: Iterable[Document] = (),
    corpora: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
) -> list[Suggestion]:
    """Choose the documents that are most worth annotating, the best first.

    Args:
        texts: texts to choose from, without regard to spans. A text that occurs twice counts once.
        count: number of documents to choose.
        bundle: the model that is to become better, or its folder. The embedded one if ``None``.
        labelled: annotated documents, which are not chosen. Their mentions are known names.
        corpora: heads to use; all, merged by type, if ``None``.
        types: entity types that are to be annotated; the main types if ``None``.

    Returns:
        Documents with the mentions that the model finds, and the places that it is least sure of.

    Raises:
        InputError: the count is below 1, a corpus or type is unknown, or a text is no string.
    """
    tagger = bundle if isinstance(bundle, Tagger) else Tagger.load(bundle)
    return suggest_documents(tagger, texts, count=count, labelled=labelled, corpora=corpora, types=types)


def train(
    folder: PathLike,
    *,
    documents: Sequence[Document] = (),
    dev: Sequence[Document] = (),
    recipe: Recipe | None = None,
    name: str | None = None,
    device: str = "auto",
    resume: bool = False,
    on_step: Callable[[StepReport], None] = lambda report: None,
) -> Bundle:
    """Fine-tune a backbone on your documents, or on the corpora that the recipe names.

    Args:
        folder: folder of the run; the bundle is ``folder/bundle``.
        documents: annotated training documents; empty if the recipe names corpora of the catalog.
        dev: annotated documents that select the best epoch.
        recipe: every setting that decides the outcome. If ``None``, the defaults, with batches and epochs
            that follow the size of your documents.
        name: name of the model, and of its head for your documents; the folder's name if ``None``.
        device: ``cpu``, ``cuda``, or ``auto`` for a CUDA device if one is available.
        resume: continue a run that was stopped.
        on_step: callback after each step.

    Raises:
        RecipeError: neither or both of documents and corpora are given, or dev documents are missing.
        CorpusError: the documents hold no entity, or dev a type that does not occur in training.
        MissingExtraError: the extra ``train`` is not installed.
    """
    finetuning = require_extra("openmed_ner.training.finetune", "train")
    loading = require_extra("openmed_ner.training.corpora", "train")
    folder = Path(folder)
    name = name or folder.resolve().name
    if recipe is None:
        from openmed_ner.training.config import Recipe
        from openmed_ner.training.data_size import choose_settings
        from openmed_ner.training.recipes import read_recipe

        settings = choose_settings(documents, name) if documents else []
        recipe = read_recipe(None, settings, kind=Recipe)

    if bool(documents) == bool(recipe.corpora):
        raise RecipeError("expected either documents or corpora in the recipe")
    if documents and not dev:
        raise RecipeError("documents need dev documents, which select the best epoch")

    if documents:
        splits = {"train": tuple(documents), "dev": tuple(dev)}
        head = loading.infer_head(name, splits, {"train": "documents", "dev": "dev"})
        corpora = loading.build_corpora({head: splits}, recipe)
    else:
        corpora = loading.load_corpora(recipe)

    bundle: Bundle = finetuning.finetune(
        recipe,
        corpora,
        folder,
        name=name,
        resume=resume,
        on_step=on_step,
        processes=_join_processes(device),
    )
    return bundle


def pretrain(
    folder: PathLike,
    passages: PathLike,
    *,
    recipe: PretrainRecipe | None = None,
    name: str | None = None,
    device: str = "auto",
    resume: bool = False,
    on_step: Callable[[str, StepReport], None] = lambda stage, report: None,
) -> Bundle:
    """Adapt a backbone to unlabelled text by masked language modelling.

    Args:
        folder: folder of the run; the adapted encoder is ``folder/bundle``.
        passages: folder that ``openmed-ner passages`` wrote.
        recipe: every setting that decides the outcome; ``PretrainRecipe()`` if ``None``.
        name: name of the encoder; the folder's name if ``None``.
        device: ``cpu``, ``cuda``, or ``auto`` for a CUDA device if one is available.
        resume: continue a run that was stopped.
        on_step: callback after each step, with the stage, ``head`` or ``encoder``.

    Raises:
        BundleError: the passages are damaged, or were made for another tokenizer.
        MissingExtraError: the extra ``train`` is not installed.
    """
    pretraining = require_extra("openmed_ner.training.pretrain", "train")
    recipe = recipe or require_extra("openmed_ner.training.config", "train").PretrainRecipe()
    bundle: Bundle = pretraining.pretrain(
        recipe,
        Path(passages),
        Path(folder),
        name=name or Path(folder).resolve().name,
        resume=resume,
        on_step=on_step,
        processes=_join_processes(device),
    )
    return bundle


def evaluate(
    bundle: Bundle | PathLike | None = None,
    *,
    documents: Sequence[Document] = (),
    corpora: Sequence[str] = (),
    split: str = "test",
    head: str | None = None,
    protocols: Sequence[ScoringProtocol] = ("mention",),
    document_decoding: bool = True,
) -> list[dict[str, Any]]:
    """Score a bundle on your gold documents, or on corpora of the catalog.

    Args:
        bundle: the bundle, or its folder; the embedded one if ``None``.
        documents: gold documents, for one head.
        corpora: corpora of the catalog, each for the head of its name; every head's own if neither is given.
        split: split of these corpora.
        head: head to score on the documents; may be left out if the bundle has one.
        protocols: units to count, ``mention``, ``word`` or ``subword``, on the same predictions.
        document_decoding: if false, document-level decoding is left out, see :func:`load`.

    Returns:
        One record for each corpus and protocol: the objects that ``openmed-ner evaluate --json`` writes.

    Raises:
        InputError: no gold mention, an unknown head, or a gold label that the head does not know.
        CorpusError: a corpus is unknown, or its archive is not available.
    """
    from openmed_ner.evaluation import predictions
    from openmed_ner.evaluation.gold import Gold, keep_corpora_with_split, load_gold, require_mentions

    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(Path(bundle or embedded_bundle()))
    tagger = Tagger.load(bundle, document_decoding=document_decoding)

    if documents and corpora:
        raise InputError("expected either documents or corpora, not both")
    if documents:
        require_mentions(documents, source="documents")
        golds = [Gold(_find_head(tagger, head), "documents", documents)]
    else:
        record: Mapping[str, Any] = bundle.read_json(RECORD) if RECORD in bundle.manifest.files else {}
        names = [_find_head(tagger, name) for name in corpora]
        names = names or keep_corpora_with_split(tagger.corpora, split)
        golds = [load_gold(name, split, training_splits(record)) for name in names]

    return list(predictions.evaluate(tagger, golds, protocols=protocols))


def export(
    bundle: Bundle | PathLike,
    folder: PathLike,
    *,
    precision: Precision = "int8",
    backend: str | None = None,
    name: str | None = None,
    calibration: Sequence[Document] | None = None,
) -> Bundle:
    """Export an adapter or full bundle to ONNX, with a certificate of how far it agrees with the original.

    Args:
        bundle: the bundle, or its folder.
        folder: new folder of the runtime bundle.
        precision: ``fp32``, ``int8`` or ``int8-static``.
        backend: engine that runs it and is certified, ``onnxruntime`` by default.
        name: name of the new bundle; the original's if ``None``.
        calibration: documents that fix the scales of ``int8-static``; if ``None``, training documents of the
            heads' corpora where they are available, and the example abstracts otherwise.

    Raises:
        BundleError: the bundle is a runtime bundle already.
        RunError: the folder exists.
        MissingExtraError: the extra ``train``, or ``quantise`` for ``int8-static`` with
            OpenVINO, is not installed.
    """
    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(Path(bundle))
    exporting = require_extra("openmed_ner.training.export.bundles", "train")
    exported: Bundle = exporting.export_bundle(
        bundle, Path(folder), precision=precision, backend=backend, name=name, calibration=calibration
    )
    return exported


def _find_head(tagger: Tagger, name: str | None) -> str:
    if name is None and len(tagger.corpora) == 1:
        return tagger.corpora[0]
    if name not in tagger.corpora:
        raise InputError(f"head {name!r}: expected one of {', '.join(tagger.corpora)}")
    return name


def _join_processes(device: str) -> Any:
    """The processes of a launcher such as torchrun, or this one alone."""
    return require_extra("openmed_ner.training.engine.processes", "train").join(device)
