"""What ``openmed-ner evaluate`` scores on, and what bundles and files answer to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from openmed_ner.cli.output import complain
from openmed_ner.corpora import find_corpus
from openmed_ner.errors import InputError
from openmed_ner.formats import read_documents

if TYPE_CHECKING:
    from openmed_ner.bundle import Bundle
    from openmed_ner.evaluation.gold import Gold
    from openmed_ner.evaluation.predictions import Predictions
    from openmed_ner.inference.tagger import Tagger

    Load = Callable[[Bundle], Tagger]


class GoldSource:
    """Corpora of the catalog, or one's own gold documents.

    Raises:
        InputError: both are named.
    """

    def __init__(
        self, corpora: list[str] | None, split: str, data: Path | None, source: str | None, head: str | None
    ) -> None:
        if data is not None and corpora:
            raise InputError("name corpora of the catalog or your own --data, not both")
        self.corpora, self.split, self.data, self.source, self.head = corpora, split, data, source, head

    def of_bundle(self, bundle: Bundle, load: Load) -> list[Predictions]:
        """What a bundle finds in the gold documents of each head that is asked."""
        from openmed_ner.evaluation.predictions import predict_gold

        tagger = load(bundle)
        learnt = learnt_by(bundle)
        if self.data is None and self.split in learnt:
            complain(f"{bundle.folder} has learnt from {self.split}: its scores there are no measure of it")
        return list(predict_gold(tagger, self._golds(tagger.corpora, learnt)))

    def of_file(self, path: Path, source: str | None, names: dict[str, str]) -> list[Predictions]:
        """What a file of predictions says of the gold documents, its labels renamed.

        Sub-words are those of the embedded model's vocabulary, that of bert-uncased.
        """
        from openmed_ner.bundle.manifest import TOKENIZER
        from openmed_ner.evaluation.predictions import Predictions
        from openmed_ner.evaluation.summary import check_labels, pair_documents, rename_labels
        from openmed_ner.inference.tagger import embedded_bundle
        from openmed_ner.tagging import SubwordTokenizer

        gold = self._one_gold(path)
        found = rename_labels(list(read_documents(path, format=source)), names)
        labels = tuple(sorted({span.label for document in gold.documents for span in document.spans}))
        check_labels(found, labels, whose="the gold (see --map)")
        content = (embedded_bundle() / TOKENIZER).read_text(encoding="utf-8")
        tokenizer = SubwordTokenizer.from_json(content)
        return [Predictions(gold, pair_documents(gold.documents, found), labels, tokenizer)]

    def _golds(self, known: Sequence[str], learnt: Sequence[str]) -> list[Gold]:
        if self.data is not None:
            if self.head is None and len(known) > 1:
                raise InputError(f"--data needs --head, one of: {', '.join(known)}")
            name = self.head or known[0]
            _check_head(name, known)
            return [self._own(name)]
        for name in self.corpora or known:
            find_corpus(name)
            _check_head(name, known)
        return [self._catalogued(name, learnt) for name in self.corpora or known]

    def _one_gold(self, path: Path) -> Gold:
        if self.data is not None:
            return self._own(self.head or path.stem)
        if not self.corpora or len(self.corpora) > 1:
            raise InputError(f"{path} needs what it is to be compared with: one --corpus, or --gold FILE")
        return self._catalogued(self.corpora[0])

    def _own(self, name: str) -> Gold:
        from openmed_ner.evaluation.gold import Gold

        data = cast("Path", self.data)
        return Gold(name, data.name, list(read_documents(data, format=self.source)))

    def _catalogued(self, name: str, learnt: Sequence[str] = ("train",)) -> Gold:
        from openmed_ner.evaluation.gold import load_gold

        return load_gold(name, self.split, learnt)


def learnt_by(bundle: Bundle) -> tuple[str, ...]:
    """The splits of its corpora that a bundle has learnt from; the training splits if it does not say."""
    from openmed_ner.bundle.manifest import RECORD
    from openmed_ner.bundle.record import training_splits

    return training_splits(bundle.read_json(RECORD) if RECORD in bundle.manifest.files else {})


def _check_head(name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise InputError(f"this bundle has no head for {name!r}; it has: {', '.join(known)}")
