"""Augmentation: training documents in changed forms, and short notes written from frames.

Corpora are abstracts in flowing text. Clinics write lists, headings, wrapped lines, capitals and short forms
that nobody defines. Changed forms keep the gold annotation of every corpus.
"""

from openmed_ner.training.augmentation.augment import augment
from openmed_ner.training.augmentation.names import Names

__all__ = ["Names", "augment"]
