"""Words to subwords, texts to windows, and model outputs back to spans, each way beside its inverse."""

from openmed_ner.tagging.heads import Head
from openmed_ner.tagging.labels import decode_spans, encode_spans
from openmed_ner.tagging.prediction import WindowReader, collect_scores, predict
from openmed_ner.tagging.subwords import Encoding, SubwordTokenizer
from openmed_ner.tagging.transitions import learn_transitions
from openmed_ner.tagging.viterbi import DocumentDecoder
from openmed_ner.tagging.windows import Window, iter_windows

__all__ = [
    "DocumentDecoder",
    "Encoding",
    "Head",
    "SubwordTokenizer",
    "Window",
    "WindowReader",
    "collect_scores",
    "decode_spans",
    "encode_spans",
    "iter_windows",
    "learn_transitions",
    "predict",
]
