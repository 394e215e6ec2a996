"""What a reader must know of a model, a corpus or a set of passages, written from what was recorded of it."""

from openmed_ner.publish.cards.attaching import attach, read_records
from openmed_ner.publish.cards.model import describe_model, write_card
from openmed_ner.publish.cards.sources import find_sources

__all__ = ["attach", "describe_model", "find_sources", "read_records", "write_card"]
