"""Words to subwords, texts to windows, and all the way back to spans. What encodes here decodes here."""

from openmed_ner.tagging.decoding import DocumentDecoder, Head
from openmed_ner.tagging.labels import decode_spans, encode_spans
from openmed_ner.tagging.prediction import WindowReader, predict, score
from openmed_ner.tagging.subwords import Encoding, SubwordTokenizer
from openmed_ner.tagging.transitions import learn_transitions
from openmed_ner.tagging.windows import Window, iter_windows

__all__ = [
    "DocumentDecoder",
    "Encoding",
    "Head",
    "SubwordTokenizer",
    "Window",
    "WindowReader",
    "decode_spans",
    "encode_spans",
    "iter_windows",
    "learn_transitions",
    "predict",
    "score",
]
