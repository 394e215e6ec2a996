"""Counters of the service, for Prometheus; they hold no part of any text.

Labels are routes, statuses and the entity types of the model, so their number is bounded.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from openmed_ner.text import Document

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_TIME_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one application, in a registry of their own."""

    def __init__(self, *, queue_length: Callable[[], float]) -> None:
        """Create the counters.

        Args:
            queue_length: function that returns the number of characters that wait or are being tagged.
        """
        # The default registry is global: two applications in one process would share their counters.
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "openmed_ner_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "openmed_ner_request_seconds",
            "Time from a request's headers to the end of its answer.",
            ["route"],
            buckets=_TIME_BUCKETS,
            registry=registry,
        )

        self._documents = Counter("openmed_ner_documents", "Documents tagged.", registry=registry)
        self._characters = Counter("openmed_ner_characters", "Characters tagged.", registry=registry)
        self._entities = Counter("openmed_ner_entities", "Entities found.", ["type"], registry=registry)

        self._batches = Histogram(
            "openmed_ner_batch_documents", "Documents per batch.", buckets=_SIZE_BUCKETS, registry=registry
        )
        self._batch_seconds = Histogram(
            "openmed_ner_batch_seconds", "Time per batch.", buckets=_TIME_BUCKETS, registry=registry
        )

        queue = Gauge("openmed_ner_queue_characters", "Characters waiting or in work.", registry=registry)
        queue.set_function(queue_length)

    def add_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request, once its response is sent."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def add_batch(self, n_documents: int, seconds: float) -> None:
        """Count a batch."""
        self._batches.observe(n_documents)
        self._batch_seconds.observe(seconds)

    def add_documents(self, documents: Sequence[Document]) -> None:
        """Count tagged documents, their characters and their entities."""
        self._documents.inc(len(documents))
        self._characters.inc(sum(len(document.text) for document in documents))
        labels = Tally(span.label for document in documents for span in document.spans)
        for label, count in labels.items():
            self._entities.labels(label).inc(count)

    def write(self) -> bytes:
        """Write all counters in the text format of Prometheus."""
        return generate_latest(self._registry)
