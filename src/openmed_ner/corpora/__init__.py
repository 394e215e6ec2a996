"""Public corpora, read from their original releases."""

from openmed_ner.corpora.archive import ArchiveMember, corpora_folder
from openmed_ner.corpora.catalog import CATALOG, find_corpus
from openmed_ner.corpora.corpus import SPLITS, Corpus, SplitFiles
from openmed_ner.corpora.split import Split, load_alternatives, load_guarded, load_split, load_splits

__all__ = [
    "CATALOG",
    "SPLITS",
    "ArchiveMember",
    "Corpus",
    "Split",
    "SplitFiles",
    "corpora_folder",
    "find_corpus",
    "load_alternatives",
    "load_guarded",
    "load_split",
    "load_splits",
]
