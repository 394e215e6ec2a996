"""What the service counts, for Prometheus: never anything that a text says.

Labels are route templates, statuses and the entity types of the model, so their number is bounded.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from openmed_ner.text import Document

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one application, in a registry of their own."""

    def __init__(self, *, queue_length: Callable[[], float]) -> None:
        """Create the counters.

        Args:
            queue_length: asked for the characters that wait or are being tagged.
        """
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "openmed_ner_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "openmed_ner_request_seconds",
            "Time from a request's headers to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._documents = Counter("openmed_ner_documents", "Documents tagged.", registry=registry)
        self._characters = Counter("openmed_ner_characters", "Characters tagged.", registry=registry)
        self._entities = Counter("openmed_ner_entities", "Entities found.", ["type"], registry=registry)
        self._batches = Histogram(
            "openmed_ner_batch_documents", "Documents per batch.", buckets=_SIZES, registry=registry
        )
        self._batch_seconds = Histogram(
            "openmed_ner_batch_seconds", "Time per batch.", buckets=_SECONDS, registry=registry
        )
        queue = Gauge("openmed_ner_queue_characters", "Characters waiting or in work.", registry=registry)
        queue.set_function(queue_length)

    def add_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def add_batch(self, n_documents: int, seconds: float) -> None:
        """Count a batch."""
        self._batches.observe(n_documents)
        self._batch_seconds.observe(seconds)

    def add_documents(self, documents: Sequence[Document]) -> None:
        """Count what was tagged."""
        self._documents.inc(len(documents))
        self._characters.inc(sum(len(document.text) for document in documents))
        for label, count in Tally(span.label for each in documents for span in each.spans).items():
            self._entities.labels(label).inc(count)

    def write(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        return generate_latest(self._registry)
