"""Words to subwords, texts to windows, and all the way back to spans. What encodes here decodes here."""

from openmed_ner.alignment.decoding import DocumentDecoder, Head
from openmed_ner.alignment.labels import decode_spans, encode_spans
from openmed_ner.alignment.prediction import Reader, predict, score
from openmed_ner.alignment.protocols import PROTOCOLS, Protocol, make_view
from openmed_ner.alignment.subwords import Encoding, SubwordEncoder
from openmed_ner.alignment.transitions import learn_transitions
from openmed_ner.alignment.windows import Window, iter_windows

__all__ = [
    "PROTOCOLS",
    "DocumentDecoder",
    "Encoding",
    "Head",
    "Protocol",
    "Reader",
    "SubwordEncoder",
    "Window",
    "decode_spans",
    "encode_spans",
    "iter_windows",
    "learn_transitions",
    "make_view",
    "predict",
    "score",
]
