"""Gold documents to score heads on."""

from __future__ import annotations

import pytest

from openmed_ner.errors import CorpusError
from openmed_ner.evaluation.gold import keep_corpora_with_split


def test_heads_whose_corpus_lacks_the_split_are_not_scored() -> None:
    assert keep_corpora_with_split(["tmvar3", "ncbi-disease", "bc2gm"], "test") == ["ncbi-disease", "bc2gm"]
    with pytest.raises(CorpusError, match=r"no corpus of tmvar3 has a split 'test'"):
        keep_corpora_with_split(["tmvar3"], "test")
