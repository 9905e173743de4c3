"""Steps that a device does again at once, with no Python between their operations: CUDA graphs. Knows no model."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Work = Callable[[Tensor], Tensor]
Again = Callable[[], Tensor]  # does the work on what then lies in the tensor that it was recorded with
Record = Callable[[Work, Tensor], Again]


class Recordings:
    """What was recorded of works that are the same but for the numbers that they are given."""

    def __init__(self, record: Record) -> None:
        self._record: Record | None = record
        self._made: dict[Any, tuple[Tensor, Again]] = {}

    def forget(self) -> None:
        """Of all that was recorded; for what they read or write has moved."""
        self._made.clear()

    def run(self, key: Any, given: Tensor, work: Work) -> Tensor:
        """What the work makes of what it is given; works with one key must do the same.

        The result stands until the next one. A work must be one that may be done twice: it is recorded after it was
        done once, for some things are made ready then.
        """
        if key not in self._made and not self._is_recorded(key, given.clone(), work):
            return work(given)
        place, again = self._made[key]
        place.copy_(given)
        return again()

    def _is_recorded(self, key: Any, place: Tensor, work: Work) -> bool:
        if self._record is None:
            return False
        try:
            self._made[key] = place, self._record(work, place)
        except RuntimeError as error:  # an operation that waits for the device, or memory that lacks
            log.warning("Steps are not recorded from here on, and slower for that: %s", str(error).split("\n")[0])
            self._record = None
        return self._record is not None


class CudaGraphs:
    """A `Record` for CUDA devices; all of one share their memory, for none runs beside another."""

    def __init__(self) -> None:
        self._pool: Any = None

    def __call__(self, work: Work, given: Tensor) -> Again:
        work(given)
        torch.cuda.synchronize(given.device)
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on asking the device for memory: what they do is no part of the graph.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            result = work(given)
        self._pool = graph.pool()

        def again() -> Tensor:
            graph.replay()
            return result

        return again
