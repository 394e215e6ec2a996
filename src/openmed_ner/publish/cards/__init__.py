"""Cards of models, corpora and sets of passages, written from what was recorded of them."""

from openmed_ner.publish.cards.data import find_sources
from openmed_ner.publish.cards.model import attach, describe_model, read_records, write_card

__all__ = ["attach", "describe_model", "find_sources", "read_records", "write_card"]
