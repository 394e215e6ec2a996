"""Origins of taggers: what a pickle or a copy of one holds in place of its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmed_ner.bundle.suite import bundle_digest
from openmed_ner.errors import BundleError


@dataclass(frozen=True, slots=True)
class Origin:
    """The bundle of a tagger, and the options that it was loaded with.

    Attributes:
        folder: folder of the bundle or suite; ``None`` for the embedded one, which may lie elsewhere on
            another machine.
        digest: digest of the bundle or suite.
        options: the options.
    """

    folder: Path | None
    digest: str
    options: Mapping[str, Any]

    def load(self, load: Callable[..., Any], embedded: Callable[[], Path]) -> Any:
        """Load the tagger again.

        Args:
            load: function that loads a folder with the options.
            embedded: function that returns the folder of the embedded bundle.

        Raises:
            BundleError: the bundle is missing or has changed.
        """
        folder = self.folder or embedded()
        if not folder.is_dir() or bundle_digest(folder) != self.digest:
            raise BundleError(f"{folder}: the bundle of a pickled tagger is not here, or has changed")
        return load(self.folder, **self.options)
