"""Documents of a user that are left out because of a bad record or annotation."""

from __future__ import annotations

from openmed_ner.cli.output import complain
from openmed_ner.errors import InputError
from openmed_ner.text import Document


class InvalidDocuments:
    """Counts the documents that are left out, and names the first."""

    def __init__(self) -> None:
        self._n_documents = self._n_records = 0
        self._messages: dict[str, None] = {}

    def add(self, error: InputError, document: Document | None = None) -> None:
        """Count a document, or a record that is not read; once if its file is read twice."""
        if str(error) in self._messages:
            return
        self._messages[str(error)] = None
        self._n_documents += document is not None
        self._n_records += document is None

    def report(self) -> None:
        """Print the numbers, if something was left out."""
        if self._messages:
            complain(
                f"left out: {self._n_documents} documents with bad annotations, "
                f"{self._n_records} bad records; the first: {next(iter(self._messages))}"
            )
