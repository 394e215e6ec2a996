"""Export heads as folders that the pipeline ``token-classification`` of transformers opens.

A folder has one head, since a transformers model has one set of labels. The pipeline takes the most probable
tag of each word. This package finds the best sequence of tags, and may read a lexicon. What the difference
costs is measured with the real pipeline, on the same documents, and written on the card of the folder.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from openmed_ner.bundle import Bundle
from openmed_ner.bundle.manifest import CARD, RECORD, TOKENIZER, Manifest
from openmed_ner.errors import InputError, RunError
from openmed_ner.evaluation import Scores, score_document, total
from openmed_ner.inference.tagger import Tagger
from openmed_ner.model.bundles import load_model, merge_adapter
from openmed_ner.model.tagger import TokenTagger, quiet_transformers
from openmed_ner.publish.cards.markdown import bullets, page, table
from openmed_ner.publish.cards.metadata import model_metadata
from openmed_ner.publish.cards.model import cite
from openmed_ner.storage import atomic_folder, write_json
from openmed_ner.tagging import Head, SubwordTokenizer
from openmed_ner.text import Document, Span, TagScheme

COMPARISON = "comparison.json"
"""File of a folder: how far the pipeline agrees with this package."""
_CLASSIFIER = {"classifier.weight", "classifier.bias"}
_SPECIALS = {
    "unk_token": ("[UNK]", "<unk>"),
    "pad_token": ("[PAD]", "<pad>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """The pipeline and this package on the same documents.

    Attributes:
        texts: description of the documents.
        documents: number of documents.
        agreement: strict F1 of the pipeline's mentions against those of this package.
        f1: strict F1 of this package on the gold mentions; ``None`` if the documents have none.
        f1_pipeline: strict F1 of the pipeline, likewise.
    """

    texts: str
    documents: int
    agreement: float
    f1: float | None = None
    f1_pipeline: float | None = None


def export_pipelines(
    source: Bundle,
    target: Path,
    *,
    heads: Sequence[str] = (),
    samples: Mapping[str, Sequence[Document]],
    texts: str,
) -> dict[str, Comparison]:
    """Write a folder for each head, named after its corpus.

    Args:
        source: a bundle with heads; an adapter is merged, the weights of an int8 bundle are used as rounded.
        target: folder of the new folders; must not exist.
        heads: corpora of the heads; all heads if empty.
        samples: for each head's corpus, documents to compare on, with gold mentions if there are any.
        texts: description of the documents, for the cards.

    Returns:
        How far the pipeline agrees, by corpus.

    Raises:
        InputError: the bundle has no such head, or pipelines cannot read its tag scheme or architecture.
        RunError: the target exists.
    """
    source.require_heads()
    if target.exists():
        raise RunError(f"{target} already exists; choose another folder, or remove it")
    by_corpus = {head.corpus: head for head in source.manifest.heads}
    if unknown := [name for name in heads if name not in by_corpus]:
        raise InputError(f"{source.folder} has no head {unknown[0]!r}; it has: {', '.join(by_corpus)}")

    chosen = [by_corpus[name] for name in heads or by_corpus]
    if other := [head for head in chosen if head.scheme is not TagScheme.IOB2]:
        raise InputError(
            f"{other[0].corpus} has the tag scheme {other[0].scheme.value}; pipelines read IOB2 alone"
        )
    model = merge_adapter(load_model(source))
    tagger = Tagger.load(source, threads=torch.get_num_threads())

    comparisons = {}
    with atomic_folder(target) as folder:
        for head in chosen:
            place = folder / head.corpus
            _save(model, head, source, place)
            comparison = _compare(place, head, tagger, samples[head.corpus], texts)
            write_json(place / COMPARISON, asdict(comparison))
            (place / CARD).write_text(describe(source, head, comparison), encoding="utf-8")
            comparisons[head.corpus] = comparison
    return comparisons


def _save(model: TokenTagger, head: Head, source: Bundle, folder: Path) -> None:
    """Write configuration, weights and tokenizer of one head.

    Raises:
        InputError: the architecture has more between encoder and labels than a linear layer.
    """
    from transformers import AutoModelForTokenClassification

    config = model.encoder.config.__class__.from_dict(model.encoder.config.to_dict())
    config.id2label = dict(enumerate(head.tags))
    config.label2id = {tag: index for index, tag in enumerate(head.tags)}
    with quiet_transformers():
        classifier: Any = AutoModelForTokenClassification.from_config(config, dtype=torch.float32)
    base = classifier.base_model
    prefix = f"{classifier.base_model_prefix}."
    further = {name for name in classifier.state_dict() if not name.startswith(prefix)}
    if further != _CLASSIFIER:
        raise InputError(
            f"{config.model_type!r}: its model for token classification is not a linear layer on the encoder"
        )

    weights = model.encoder.state_dict()
    if base.state_dict().keys() != weights.keys():
        raise InputError(f"{config.model_type!r}: its model for token classification has another encoder")
    base.load_state_dict(weights)
    layer = model.layers[model.heads.index(head)]
    classifier.classifier.load_state_dict(layer.state_dict())
    with quiet_transformers():
        classifier.save_pretrained(folder)
    _make_tokenizer(source).save_pretrained(folder)


def _make_tokenizer(source: Bundle) -> Any:
    from transformers import PreTrainedTokenizerFast

    content = source.read(TOKENIZER).decode("utf-8")
    vocabulary = set(SubwordTokenizer.from_json(content).vocabulary)
    names = {role: name for role, choices in _SPECIALS.items() for name in choices if name in vocabulary}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(content), model_max_length=source.manifest.window, **names
    )
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return tokenizer


def tag_with_pipeline(
    folder: Path, documents: Sequence[Document], *, overlap: int, corpus: str
) -> list[Document]:
    """Tag documents with the pipeline of a folder, as its card says.

    Args:
        folder: folder with one head.
        documents: documents to tag.
        overlap: number of subwords that neighbouring windows share.
        corpus: corpus of the head.
    """
    from transformers import pipeline  # here, since it loads hundreds of modules

    with quiet_transformers(), warnings.catch_warnings():
        # It tells words by blanks alone where the vocabulary does not mark the pieces of a word.
        warnings.filterwarnings("ignore", message="Tokenizer does not support real words")
        tag = pipeline(
            "token-classification",
            model=str(folder),
            aggregation_strategy="first",
            stride=overlap,
            device="cpu",
        )
        outputs: list[list[dict[str, Any]]] = [
            tag(document.text) if document.text.strip() else [] for document in documents
        ]
    return [
        document.with_spans(
            Span(mention["start"], mention["end"], mention["entity_group"], float(mention["score"]), corpus)
            for mention in mentions
            if mention["entity_group"] != "O"
        )
        for document, mentions in zip(documents, outputs, strict=True)
    ]


def _compare(
    folder: Path, head: Head, tagger: Tagger, documents: Sequence[Document], texts: str
) -> Comparison:
    expected = list(tagger.pipe(documents, corpora=[head.corpus]))
    predicted = tag_with_pipeline(folder, documents, overlap=tagger.manifest.overlap, corpus=head.corpus)
    comparison = Comparison(texts, len(documents), _f1(expected, predicted))
    if not any(document.spans for document in documents):
        return comparison
    return replace(comparison, f1=_f1(documents, expected), f1_pipeline=_f1(documents, predicted))


def _f1(gold: Sequence[Document], predicted: Sequence[Document]) -> float:
    scores: Scores = total(score_document(*pair) for pair in zip(gold, predicted, strict=True))
    return scores.micro.f1


def describe(source: Bundle, head: Head, comparison: Comparison) -> str:
    """Write the card of a folder."""
    manifest: Manifest = replace(source.manifest, heads=(head,))
    record = source.read_json(RECORD) if RECORD in source.manifest.files else {}
    metadata = {**model_metadata(manifest, record), "library_name": "transformers"}
    use = (
        "```python\nfrom transformers import pipeline\n\n"
        f'options = {{"aggregation_strategy": "first", "stride": {manifest.overlap}}}\n'
        'tag = pipeline("token-classification", model=FOLDER, **options)\n'
        'tag("Cisplatin caused nephrotoxicity.")\n```\n\n'
        "The first subword of a word carries its tag, so other values of `aggregation_strategy` cut words.\n"
    )

    rows = [("mentions of the pipeline against those of openmed-ner", f"{100 * comparison.agreement:.2f}")]
    if comparison.f1 is not None and comparison.f1_pipeline is not None:
        rows += [
            ("openmed-ner against the annotations", f"{100 * comparison.f1:.2f}"),
            ("the pipeline against the annotations", f"{100 * comparison.f1_pipeline:.2f}"),
        ]

    lost = [
        "The pipeline takes the best tag of each word, not the best sequence of tags.",
        "Mentions are not ended where the layout of the text ends them.",
        "Abbreviations and repeated names do not decide mentions in the whole document.",
        "Other heads are in folders of their own; their answers are not merged into one per type.",
        "No account is kept of the characters that were read.",
    ]
    if manifest.lexicon is not None:
        lost.append("The lexicon of the original is not read: the names that it knows do not help.")

    return page(
        metadata,
        f"{manifest.name}, {head.corpus}",
        [
            (
                "",
                f"The head {head.corpus} ({', '.join(head.labels)}) of {manifest.name}, for transformers. "
                f"Licence of the weights: {manifest.licence}. Written by openmed-ner {manifest.version}.\n",
            ),
            ("Use", use),
            (
                "What differs from openmed-ner",
                f"Strict F1 of mentions on {comparison.documents} documents ({comparison.texts}):\n\n"
                + table(("comparison", "F1"), rows)
                + "\n"
                + bullets(lost),
            ),
            ("Cite", cite(manifest, record)),
        ],
    )
