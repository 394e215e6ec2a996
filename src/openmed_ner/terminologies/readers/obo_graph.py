"""Read OBO-graph JSON: the classes of an ontology with synonyms, parents and cross-references.

Deprecated classes, classes without a label and synonyms that are broader than their class are left out.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openmed_ner.errors import CorpusFormatError
from openmed_ner.terminologies.readers.records import Record, iter_lines, keep_ids, short_id

_PARENTS = ("is_a", "subClassOf", "http://www.w3.org/2000/01/rdf-schema#subClassOf")


def read_obo_graph(path: Path) -> Iterator[Record]:
    """Yield the classes of a file.

    Raises:
        InputError: it cannot be opened.
        CorpusFormatError: it is no valid JSON, or has another structure.
    """
    try:
        content = json.loads("\n".join(line for _, line in iter_lines(path)))
    except json.JSONDecodeError as error:
        raise CorpusFormatError(f"{path}, line {error.lineno}: {error.msg}") from error
    except RecursionError as error:
        raise CorpusFormatError(f"{path}: nested too deeply") from error
    graphs = _check(content, "graphs", list, path, "top level")

    for number, graph in enumerate(graphs):
        place = f"graph {number}"
        parents: dict[str, list[str]] = defaultdict(list)
        for position, edge in enumerate(_check(graph, "edges", list, path, place, [])):
            at = f"{place}, edge {position}"
            if _check(edge, "pred", str, path, at) in _PARENTS:
                parents[_check(edge, "sub", str, path, at)].append(_check(edge, "obj", str, path, at))
        for position, node in enumerate(_check(graph, "nodes", list, path, place, [])):
            yield from _read_node(node, parents, path, f"{place}, node {position}")


def _read_node(node: Any, parents: dict[str, list[str]], path: Path, place: str) -> Iterator[Record]:
    address = _check(node, "id", str, path, place)
    name = _check(node, "lbl", str, path, place, "")
    meta = _check(node, "meta", dict, path, place, {})
    if (
        not name
        or meta.get("deprecated") is True
        or _check(node, "type", str, path, place, "CLASS") != "CLASS"
    ):
        return
    synonyms = _check(meta, "synonyms", list, path, place, [])
    xrefs = _check(meta, "xrefs", list, path, place, [])
    yield Record(
        place,
        short_id(address),
        name,
        tuple(
            _check(entry, "val", str, path, place)
            for entry in synonyms
            if _check(entry, "pred", str, path, place, "") != "hasBroadSynonym"
        ),
        keep_ids(parents.get(address, ())),
        keep_ids(_check(entry, "val", str, path, place) for entry in xrefs),
    )


def _check(record: Any, key: str, kind: type, path: Path, place: str, default: Any = None) -> Any:
    """A value of a JSON object.

    Raises:
        CorpusFormatError: it is missing without a default, or of another type.
    """
    value = record.get(key, default) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        raise CorpusFormatError(
            f"{path}, {place}: expected {key!r} with a {kind.__name__}; is it OBO-graph JSON?"
        )
    return value
