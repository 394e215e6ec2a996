"""spaCy: the pipeline component ``openmed_ner``, and a tokenizer that cuts where it does.

Importing this package registers both with spaCy. The entry points in ``pyproject.toml`` name it, so an
installed package needs no import.
"""

from openmed_ner.errors import require_extra

require_extra("spacy.language", "spacy")

from openmed_ner.integrations.spacy.component import (  # noqa: E402
    ComponentSettings,
    EntityTagger,
    make_component,
)
from openmed_ner.integrations.spacy.words import WordTokenizer, make_tokenizer, use_words  # noqa: E402

__all__ = [
    "ComponentSettings",
    "EntityTagger",
    "WordTokenizer",
    "make_component",
    "make_tokenizer",
    "use_words",
]
