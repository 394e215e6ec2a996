"""Eight marked sentences, the documents they make, and a tokenizer that knows their words."""

from __future__ import annotations

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from openmed_ner.text import Document, Span

SENTENCES = (
    ("[Cisplatin] caused severe {nephrotoxicity} in rats."),
    ("Patients with {breast cancer} received [tamoxifen]."),
    ("No effect was seen."),
    ("[Aspirin] reduced the risk of {myocardial infarction}."),
    ("{Breast cancer} and {myocardial infarction} were seen in patients."),
    ("Rats received [aspirin], and no {nephrotoxicity} was seen."),
    ("The effect of [tamoxifen] and [cisplatin] in rats."),
    ("Severe {myocardial infarction} in patients with {breast cancer}."),
)
LABELS = {"[": "Chemical", "{": "Disease"}


def read_marked(identifier: str, marked: str) -> Document:
    """Turn ``[chemical]`` and ``{disease}`` into a text and its spans."""
    text, spans, start = "", [], 0
    for character in marked:
        if character in LABELS:
            start, label = len(text), LABELS[character]
        elif character in "]}":
            spans.append(Span(start, len(text), label))
        else:
            text += character
    return Document(identifier, text, tuple(spans))


DOCUMENTS = tuple(read_marked(str(number), marked) for number, marked in enumerate(SENTENCES))


def only(label: str) -> tuple[Document, ...]:
    return tuple(each.with_spans(span for span in each.spans if span.label == label) for each in DOCUMENTS)


def tiny_tokenizer() -> Tokenizer:
    words = sorted(
        {word.lower() for each in DOCUMENTS for word in each.text.replace(".", "").replace(",", "").split()}
    )
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        ".",
        ",",
        "-",
        *letters,
        *(f"##{each}" for each in letters),
        *words,
        "[MASK]",
    ]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer
