"""What `/metrics` shows, in Prometheus' form."""

from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ocr.faces.gateway.servers import CogServer

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
DISAGREEMENTS = frozenset({"omitted", "unsupported", "conflicts"})  # of checked pages alone
TOKENS = ("prompt_tokens", "completion_tokens", "image_tokens")


class Figures:
    """The counts of one gateway."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests that were answered.", "route", "status")
        self._request_seconds = self._histogram("request_seconds", "From a request to the end of its answer.", "route")
        self._documents = self._counter("documents", "Documents that were read.", "model", "finish_reason")
        self._pages = self._counter("pages", "Pages that were read.", "model")
        self._failed_pages = self._counter("failed_pages", "Pages that could not be read.", "model")
        self._problems = self._counter("problems", "Problems that were told of pages.", "model")
        self._disagreements = self._counter(
            "disagreements", "Places where `check` found two readings.", "model", "kind"
        )
        self._retries = self._counter("retries", "Pages that were read again.", "model")
        self._tokens = self._counter("tokens", "Tokens given and written.", "model", "kind")
        self._first = self._histogram("first_token_seconds", "From a page's begin to its first token.", "model")
        self._page_seconds = self._histogram("page_seconds", "Of a document's time, its part for a page.", "model")
        self._waited = self._histogram("wait_seconds", "In the queue, until a server had room.")
        self._waiting = Gauge("ocr_waiting", "Documents in the queue.", registry=self._registry)
        self._up = Gauge("ocr_server_up", "Whether a Cog server can read.", ["server"], registry=self._registry)
        self._in_hand = Gauge("ocr_server_in_hand", "Documents at a Cog server.", ["server"], registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"ocr_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"ocr_{name}", text, labels, buckets=SECONDS, registry=self._registry)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request is over."""
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def waited(self, seconds: float) -> None:
        """A document has left the queue."""
        self._waited.observe(seconds)

    def read(self, metrics: Mapping[str, Any]) -> None:
        """A document was read, and these are the figures that predict() recorded."""
        model, pages = str(metrics["model"]), int(metrics["pages"])
        self._documents.labels(model, metrics["finish_reason"]).inc()
        self._pages.labels(model).inc(pages)
        self._failed_pages.labels(model).inc(metrics["failed_pages"])
        self._problems.labels(model).inc(metrics["problems"])
        self._retries.labels(model).inc(metrics["retries"])
        for kind in DISAGREEMENTS & metrics.keys():
            self._disagreements.labels(model, kind).inc(metrics[kind])
        for kind in TOKENS:
            self._tokens.labels(model, kind.removesuffix("_tokens")).inc(metrics[kind])
        self._first.labels(model).observe(metrics["time_to_first_token"])
        for _ in range(pages):
            self._page_seconds.labels(model).observe(metrics["predict_time"] / pages)

    def shown(self, servers: Sequence[CogServer], waiting: int) -> bytes:
        """All of them as text."""
        self._waiting.set(waiting)
        for number, server in enumerate(servers, 1):
            self._up.labels(str(number)).set(server.is_up)
            self._in_hand.labels(str(number)).set(server.in_hand)
        return generate_latest(self._registry)
