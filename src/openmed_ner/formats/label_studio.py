"""Label Studio: JSON and JSON-MIN exports, and tasks with predictions for import.

A task has its text under ``data``, usually as ``text``, and regions under ``annotations`` and
``predictions``. The regions of people are read if there are any, and otherwise those of a model; an
annotation that was cancelled does not count. A task with several annotations needs one that is marked as
ground truth. Relations of regions, choices and ratings are ignored.

Offsets are characters. Versions before 1.4 counted UTF-16 code units, so a region whose text does not stand
at its offsets is looked for at those. Spans without scores are written as annotations, others as predictions,
for the labelling interface in ``docs/annotation.md``. The structure of a document is in its data.

Format: https://labelstud.io/guide/export and https://labelstud.io/guide/predictions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TextIO

from openmed_ner.formats.annotation_tools import (
    DOCUMENT_ID,
    document_name,
    iter_writable,
    structure_entry,
    with_structure,
)
from openmed_ner.formats.json_values import (
    Record,
    read_records,
    require_list,
    require_object,
    require_offset,
    require_score,
    require_string,
)
from openmed_ner.formats.tolerance import OnBad, excerpt, fail
from openmed_ner.formats.utf16 import CodeUnits
from openmed_ner.text import Document, Span

FROM_NAME, TO_NAME = "label", "text"
"""Names of the ``Labels`` and ``Text`` tags of the labelling interface."""
_MODEL_VERSION = "openmed-ner"


def read_label_studio(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield one document per task; a bad task or region goes to ``on_bad``.

    Raises:
        CorpusFormatError: the file is not JSON, or a task has no text or several annotations.
        AnnotationError: a region has no label, or another text than the one at its offsets.
    """
    return read_records(file, source, on_bad, name="task", read=_read_task)


def write_label_studio(
    documents: Iterable[Document], file: TextIO, *, exact: bool = True, on_bad: OnBad = fail
) -> None:
    """Write tasks to import, one per line of a list.

    Args:
        documents: the documents.
        file: target.
        exact: refuse spans with corpora, attributes or evidence; otherwise these are dropped.
        on_bad: called with the error of each refused document.

    Raises:
        UnrepresentableError: a document has a discontinuous span or half of a surrogate pair; if ``exact``,
            also a span with corpus, attributes or evidence.
    """
    file.write("[")
    writable = iter_writable(documents, "Label Studio", exact=exact, scored=True, on_bad=on_bad)
    for number, document in enumerate(writable):
        file.write((",\n" if number else "\n") + json.dumps(_to_task(document), ensure_ascii=False))
    file.write("\n]\n")


def _read_task(record: Record) -> Document:
    task = record.fields
    data = require_object(task["data"], "data") if "data" in task else task
    text = _find_text(data)
    name = document_name(data, *(("id",) if data is task else ()), default="") or document_name(
        task, "id", default=record.default_id
    )
    units = CodeUnits(text)
    read = partial(_read_region, text=text, units=units)
    if data is task:
        spans = record.read_each(_list_regions(task), read)
    else:
        results, scored = _list_results(task)
        spans = record.read_each(results, lambda result: read(_to_region_of(result, scored=scored)))
    return with_structure(Document(name, text, tuple(spans)), data)


def _find_text(data: Mapping[str, Any]) -> str:
    """The text of a task: under ``text``, or under the only other key with a string."""
    if "text" in data:
        return require_string(data["text"], "text")
    strings = [name for name, value in data.items() if isinstance(value, str) and name != DOCUMENT_ID]
    if len(strings) != 1:
        raise ValueError(f'expected the text under "text", found strings under {sorted(strings)!r:.80}')
    return require_string(data[strings[0]], strings[0])


def _list_regions(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The regions of a task of JSON-MIN, which are under the name of the labels."""
    entries = [entry for value in task.values() if isinstance(value, list) for entry in value]
    if any(
        isinstance(entry, list) or (isinstance(entry, dict) and not _is_region(entry)) for entry in entries
    ):
        raise ValueError('expected regions with "start", "end" and "labels"; other tools have --from doccano')
    return [entry for entry in entries if isinstance(entry, dict)]


def _is_region(entry: dict[str, Any]) -> bool:
    return bool({"start", "end", "labels", "hypertextlabels"} & entry.keys())


def _list_results(task: Mapping[str, Any]) -> tuple[list[object], bool]:
    """The results of the annotation of a task, or of its prediction; and whether their scores count."""
    annotations = [
        require_object(entry, "annotation")
        for entry in require_list(task.get("annotations", task.get("completions")), "annotations")
    ]
    annotations = [entry for entry in annotations if not entry.get("was_cancelled")]
    if len(annotations) > 1:
        chosen = [entry for entry in annotations if entry.get("ground_truth")]
        if len(chosen) != 1:
            raise ValueError(f"found {len(annotations)} annotations; mark one of them as ground truth")
        annotations = chosen

    predictions = require_list(task.get("predictions"), "predictions")
    if not annotations and len(predictions) > 1:
        raise ValueError(f"found {len(predictions)} predictions and no annotation; keep one of them")
    results = [
        result
        for entry in annotations or predictions
        for result in require_list(require_object(entry, "prediction").get("result"), "result")
    ]
    # A region that a person accepted may still carry the score of the model.
    return results, not annotations


def _to_region_of(result: object, *, scored: bool) -> dict[str, Any] | None:
    """The region of a result, in the form of JSON-MIN with the score; ``None`` if it is a choice, say."""
    fields = require_object(result, "result")
    if fields.get("type") not in ("labels", "hypertextlabels"):
        return None
    return {**require_object(fields.get("value"), "value"), "score": fields.get("score") if scored else None}


def _read_region(region: Mapping[str, Any] | None, *, text: str, units: CodeUnits) -> list[Span]:
    """Read a span per label of a region."""
    if region is None:
        return []
    start, end = require_offset(region.get("start"), "start"), require_offset(region.get("end"), "end")
    labels = require_list(region.get("labels", region.get("hypertextlabels")), "labels")
    if not labels:
        raise ValueError(f"the region {start}..{end} has no label")

    mention = region.get("text")
    if mention is not None:
        start, end = _find_region(start, end, require_string(mention, "text of a region"), text, units)
    if end > len(text):
        raise ValueError(f"the region {start}..{end} ends beyond the text of {len(text)} characters")
    score = require_score(region.get("score"))
    return [Span(start, end, require_string(label, "label"), score) for label in labels]


def _find_region(start: int, end: int, mention: str, text: str, units: CodeUnits) -> tuple[int, int]:
    """The place of a region in characters: its offsets may be code units.

    Raises:
        ValueError: its text is at neither place.
    """
    try:
        places = [(start, end), (units.to_characters(start), units.to_characters(end))]
    except ValueError:
        places = [(start, end)]
    for first, last in places:
        if last - first == len(mention) and text[first:last] == mention:
            return first, last
    covered = text[start : min(end, start + len(mention) + 1)]
    raise ValueError(
        f"characters {start}..{end} are {excerpt(covered)}, but the region has {excerpt(mention)}"
    )


def _to_task(document: Document) -> dict[str, Any]:
    scores = [span.score for span in document.spans if span.score is not None]
    regions = [
        _to_region(document, span, f"T{number}") for number, span in enumerate(document.spans, start=1)
    ]
    data = {"text": document.text, DOCUMENT_ID: document.id, **structure_entry(document)}
    if document.spans and not scores:
        return {"data": data, "annotations": [{"result": regions}]}
    score = {"score": sum(scores) / len(scores)} if scores else {}
    return {"data": data, "predictions": [{"model_version": _MODEL_VERSION, **score, "result": regions}]}


def _to_region(document: Document, span: Span, name: str) -> dict[str, Any]:
    value = {"start": span.start, "end": span.end, "text": document.mention(span), "labels": [span.label]}
    score = {} if span.score is None else {"score": span.score}
    return {"id": name, "from_name": FROM_NAME, "to_name": TO_NAME, "type": "labels", **score, "value": value}
