"""Web addresses of the concepts of public terminologies, for pages that people read."""

from __future__ import annotations

import re
from collections.abc import Mapping

ADDRESSES: Mapping[str, str] = {
    "MESH": "https://id.nlm.nih.gov/mesh/{number}.html",
    "NCBIGene": "https://www.ncbi.nlm.nih.gov/gene/{number}",
    "NCBITaxon": "https://www.ncbi.nlm.nih.gov/Taxonomy/Browser/wwwtax.cgi?id={number}",
    "OMIM": "https://omim.org/entry/{number}",
    "HGNC": "https://www.genenames.org/data/gene-symbol-report/#!/hgnc_id/HGNC:{number}",
    "MGI": "https://www.informatics.jax.org/accession/MGI:{number}",
    "RGD": "https://rgd.mcw.edu/rgdweb/report/gene/main.html?id={number}",
    "MONDO": "http://purl.obolibrary.org/obo/MONDO_{number}",
    "DOID": "http://purl.obolibrary.org/obo/DOID_{number}",
    "UBERON": "http://purl.obolibrary.org/obo/UBERON_{number}",
    "CL": "http://purl.obolibrary.org/obo/CL_{number}",
    "CVCL": "https://www.cellosaurus.org/CVCL_{number}",
}
"""Address of a concept by the prefix of its identifier."""
_IDENTIFIER = re.compile(r"(?P<prefix>[A-Za-z]+)[:_](?P<number>[A-Za-z0-9]{1,20})")


def find_address(identifier: str) -> str | None:
    """Find the web address of a concept, such as that of ``MESH:D003920``; ``None`` if there is none."""
    match = _IDENTIFIER.fullmatch(identifier)
    address = ADDRESSES.get(match["prefix"]) if match else None
    return address.format(number=match["number"]) if match and address else None
