"""A tagger with a stub for a model: streams, blocks, layout and invisible characters."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from openmed_ner.bundle import BackboneReference, Manifest
from openmed_ner.errors import InputError, RunError
from openmed_ner.inference.parts import ModelPart
from openmed_ner.inference.tagger import Tagger
from openmed_ner.tagging import Head, SubwordTokenizer
from openmed_ner.tagging.batching import LongArray
from openmed_ner.tagging.heads import FloatArray

HEAD = Head("c", ("Chemical",))


class Stub:
    """A model that takes every "aspirin" for a part of one name."""

    def __init__(self, aspirin: int) -> None:
        self._aspirin = aspirin

    def run(self, *inputs: LongArray) -> FloatArray:
        logits = np.zeros((*inputs[0].shape, 3), dtype=np.float32)
        named = inputs[0] == self._aspirin
        logits[..., 0] = np.where(named, -5, 5)
        logits[..., 2] = np.where(named, 3, -5)
        logits[..., 1] = np.where(named, 2, -5)
        return logits


@pytest.fixture
def tagger(tokenizer: SubwordTokenizer) -> Tagger:
    backbone = BackboneReference("b", "o/b", "0" * 40, "0" * 64, "MIT")
    manifest = Manifest("m", "runtime", "1", (HEAD,), window=40, overlap=8, backbone=backbone)
    stub = Stub(tokenizer.vocabulary.index("aspirin"))
    return Tagger(manifest, tokenizer, [ModelPart((HEAD,), stub)])


def mentions(tagger: Tagger, text: str) -> list[str]:
    document = tagger(text)
    assert document.meta["coverage"]["complete"]
    return [document.mention(span) for span in document.spans]


@pytest.mark.parametrize("block", [1, 2, 7])
def test_a_block_is_all_that_is_read_ahead(tagger: Tagger, block: int) -> None:
    texts = [f"aspirin {number}" for number in range(7)]
    n_read = 0

    def read() -> Iterator[str]:
        nonlocal n_read
        for text in texts:
            n_read += 1
            yield text

    results = []
    for number, document in enumerate(tagger.pipe(read(), block=block)):
        assert n_read == min((number // block + 1) * block, len(texts))
        results.append(document)
    assert results == list(tagger.pipe(texts))


def test_tagging_can_be_stopped_within_a_text(tagger: Tagger) -> None:
    n_asked = 0

    def stop() -> bool:
        nonlocal n_asked
        n_asked += 1
        return n_asked > 1

    assert next(tagger.pipe(["aspirin"], stop=lambda: False)).spans
    with pytest.raises(RunError, match="stopped"):
        list(tagger.pipe(["aspirin " * 50_000], stop=stop))
    assert n_asked < 1_000


def test_options_that_mean_nothing_are_refused(tagger: Tagger) -> None:
    with pytest.raises(InputError, match="block 0"):
        list(tagger.pipe([], block=0))
    with pytest.raises(InputError, match="corpora is empty"):
        tagger("aspirin", corpora=[])


@pytest.mark.parametrize(
    "separator", ["\n", "\n\n", "\r\n", "\t", "\f", "\n- ", "\n* ", "\n----\n", "      "]
)
def test_every_item_of_a_list_is_a_mention(tagger: Tagger, separator: str) -> None:
    # 60 items are several windows.
    assert mentions(tagger, separator.join(["aspirin"] * 60)) == ["aspirin"] * 60


def test_words_side_by_side_are_one_mention(tagger: Tagger) -> None:
    assert mentions(tagger, "the aspirin aspirin of") == ["aspirin aspirin"]
    text = f"{'the ' * 12}aspirin\naspirin of the"
    assert mentions(tagger, text) == ["aspirin\naspirin"]


def test_an_invisible_character_lies_within_the_mention(tagger: Tagger) -> None:
    assert mentions(tagger, "the asp\xadirin of as\u200bpirin\ufeff") == ["asp\xadirin", "as\u200bpirin"]


def test_a_lack_of_threads_is_an_error_of_the_run(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("openmed_ner.inference.threads.ThreadPoolExecutor.submit", fail)
    with pytest.raises(RunError, match="not enough memory"):
        tagger("aspirin")
