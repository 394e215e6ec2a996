"""A spaCy tokenizer that cuts texts into our words, so that every entity fits spaCy's tokens.

These tokens are finer than spaCy's own ("IL-2" is three). spaCy's taggers and parsers were trained on its
own, so use this tokenizer in blank pipelines.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import DummyTokenizer, registry
from spacy.vocab import Vocab

from openmed_ner.text import iter_tokens

WORDS = "openmed_ner.words.v1"


class WordTokenizer(DummyTokenizer):
    """Our words as spaCy tokens: every entity begins and ends with one.

    White space beyond one blank after a word is a token of its own, as everywhere in spaCy.
    """

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab

    def __call__(self, text: str) -> Doc:
        """Cut a text; ``doc.text`` is that text, to the character."""
        tokens = list(iter_tokens(text))
        edges = sorted({0, len(text)}.union(*((token.start, token.end) for token in tokens)))
        words: list[str] = []
        spaces: list[bool] = []

        for start, end in pairwise(edges):
            word = text[start:end]
            # spaCy writes one blank after a word as a flag of the word, not as a token
            if words and word[0] == " " and not words[-1].isspace():
                spaces[-1], word = True, word[1:]
            if word:
                words.append(word)
                spaces.append(False)
        return Doc(self.vocab, words=words, spaces=spaces)


def make_tokenizer() -> Callable[[Language], WordTokenizer]:
    """Factory behind ``{"@tokenizers": "openmed_ner.words.v1"}`` in a config."""
    return lambda nlp: WordTokenizer(nlp.vocab)


registry.tokenizers(WORDS, func=make_tokenizer)


def use_words(nlp: Language) -> Language:
    """Let a pipeline cut texts into our words, also after it was saved and loaded.

    Use it in blank pipelines: spaCy's taggers and parsers were trained on its own tokens.
    """
    nlp.tokenizer = WordTokenizer(nlp.vocab)
    nlp.config["nlp"]["tokenizer"] = {"@tokenizers": WORDS}
    return nlp
