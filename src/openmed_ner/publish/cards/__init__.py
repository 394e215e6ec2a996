"""What a reader must know of a model, a corpus or a set of passages, written from what was recorded of it."""

from openmed_ner.publish.cards.attaching import attach, read_records
from openmed_ner.publish.cards.model import describe_model, write_card

__all__ = ["attach", "describe_model", "read_records", "write_card"]
