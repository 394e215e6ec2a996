"""Summary of training content, after the European Commission's template for general-purpose AI models.

The template's three parts are kept: general information, data sources, data processing. Whether a tagger is
such a model is not for this page to say; the form is the one that readers know. Only what the records hold is
filled in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openmed_ner.bundle.manifest import Manifest
from openmed_ner.corpora import CATALOG
from openmed_ner.publish.cards.making import list_leaks
from openmed_ner.publish.cards.markdown import NOT_RECORDED, dig, open_point, show, table
from openmed_ner.publish.cards.sources import DataSource, find_adaptation, find_sources, iter_passages


def summarise_content(manifest: Manifest, record: Mapping[str, Any]) -> str:
    """The summary of what a bundle was trained on, as the text of three sections."""
    return "\n".join(
        [
            "## A1. General information\n",
            *_general(manifest, record),
            "## A2. Data sources\n",
            *_sources(manifest, record),
            "## A3. Data processing\n",
            *_processing(manifest, record),
        ]
    )


def _general(manifest: Manifest, record: Mapping[str, Any]) -> list[str]:
    backbone, adaptation = manifest.backbone, find_adaptation(manifest, record)
    documents = [show(dig(record, "data", head.corpus, "train", "documents"), ",") for head in manifest.heads]
    sizes = [
        *(f"{head.corpus}: {count} documents" for head, count in zip(manifest.heads, documents, strict=True)),
        *(
            [f"adaptation: {show(dig(adaptation, 'history', 'subwords'), ',')} subwords"]
            if adaptation
            else []
        ),
    ]
    return [
        open_point("name and contact of the provider and of an authorised representative"),
        f"Model: {manifest.name}, written by openmed-ner {manifest.version}. It modifies: {backbone.name} "
        f"({backbone.hub_id}, revision: {show(backbone.revision)}).\n",
        open_point("the date on which it was placed on the Union market"),
        f"Modality: text. Sizes: {'; '.join(sizes) or NOT_RECORDED}. Kind of content: texts with annotated "
        "mentions, and passages, as listed. Language of the catalog's corpora: English.\n",
        "What the pre-trained encoder read is for its authors to summarise.\n",
        open_point("when the latest data were acquired"),
    ]


def _sources(manifest: Manifest, record: Mapping[str, Any]) -> list[str]:
    sources = [source for source in find_sources(manifest, record) if source.role != "backbone"]
    known = [source for source in sources if source.role == "passages" or source.name in CATALOG]
    return [
        "### A2.1 Publicly available data sets\n",
        _list(known) if known else "None recorded.\n",
        "### A2.2 Private data sets of others\n",
        _list([source for source in sources if source not in known])
        if len(known) < len(sources)
        else "None recorded.\n",
        *([open_point("what these data sets are")] if len(known) < len(sources) else []),
        "### A2.3 Data crawled and scraped\n",
        "None recorded. How the compilers of the data sets above got their texts stands with them.\n",
        "### A2.4 User data\n",
        "None: training reads the data sets above, and nothing that is tagged.\n",
        "### A2.5 Synthetic data\n",
        "None recorded.\n",
        "### A2.6 Other sources\n",
        "None recorded.\n",
    ]


def _list(sources: Sequence[DataSource]) -> str:
    rows = [
        [each.name, each.role, each.licence, each.licence_class, show(each.home), show(each.citation)]
        for each in sources
    ]
    return table(("data set", "role", "terms", "class", "published at", "cite"), rows)


def _processing(manifest: Manifest, record: Mapping[str, Any]) -> list[str]:
    adaptation = find_adaptation(manifest, record)
    closed = [
        show(row.get("name")) for row in iter_passages(adaptation) if row.get("licence_class") != "permissive"
    ]
    return [
        "### A3.1 Reservations of rights\n",
        f"Sources of passages whose terms are not permissive: {', '.join(closed) or 'none recorded'}.\n",
        open_point("how reservations under Article 4(3) of Directive (EU) 2019/790 were respected"),
        "### A3.2 Illegal content\n",
        "The texts were not searched for illegal content.\n",
        open_point("measures against illegal content"),
        "### A3.3 Other\n",
        list_leaks(manifest, record),
    ]
