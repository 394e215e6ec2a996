"""Linking: from mentions to the identifiers of concepts, with compiled terminologies and without a model."""

from openmed_ner.linking.concepts import METHODS, ConceptEntry, Identifier, Link, Method
from openmed_ner.linking.dictionary import Dictionary, add_names
from openmed_ner.linking.documents import add_links, link_document
from openmed_ner.linking.hierarchy import ConceptPlace, keep_under, list_concepts
from openmed_ner.linking.learning import learn_identifiers
from openmed_ner.linking.linker import LINKED_TYPES, Linker, LinkingOptions

__all__ = [
    "LINKED_TYPES",
    "METHODS",
    "ConceptEntry",
    "ConceptPlace",
    "Dictionary",
    "Identifier",
    "Link",
    "Linker",
    "LinkingOptions",
    "Method",
    "add_links",
    "add_names",
    "keep_under",
    "learn_identifiers",
    "link_document",
    "list_concepts",
]
