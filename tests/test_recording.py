"""Steps that are recorded: done again without Python, they give what they gave with it. A GPU's graphs cannot be had
here; in their place stand the operations that a step was seen to do, done again in the same memory."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from ocr.decoding import cache
from ocr.decoding.loop import RunningBatch
from ocr.decoding.recording import Again, Recordings, Work
from ocr.decoding.rules import Budget
from ocr.decoding.runner import SlotRunner
from ocr.decoding.sequence import FirstPass, in_order
from ocr.engines.native import NativeEngine
from tests.sequences import apart, sequence
from tests.test_dots import engine as dots  # noqa: F401  a fixture
from tests.test_dots import folder  # noqa: F401  which that one takes
from tests.test_positions import qwen2_5_vl, qwen3_5, qwen3_vl

PLAN = [(0, 5, 12), (0, 9, 30), (4, 3, 25), (15, 20, 20), (16, 2, 4)]  # joins at a step, with tokens, takes so many


class Operations(TorchDispatchMode):
    """Notes the operations within, to do them again on whatever then lies in the memory that they read."""

    def __init__(self) -> None:
        super().__init__()
        self._done: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, operation: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = operation(*args, **(kwargs or {}))
        self._done.append((operation, args, kwargs or {}, made))
        return made

    def again(self, result: Tensor) -> Tensor:
        """What now stands where that result stood."""
        now: dict[int, Any] = {}

        def current(value: Any) -> Any:
            return now.get(id(value), value) if isinstance(value, Tensor) else value

        for operation, args, kwargs, made in self._done:
            anew = operation(*tree_map(current, args), **tree_map(current, kwargs))
            now |= {id(old): new for old, new in zip(tree_leaves(made), tree_leaves(anew), strict=True)}
        found: Tensor = current(result)
        return found


class Recorder:
    """A `Record` for a processor; counts what it is asked for."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, work: Work, given: Tensor) -> Again:
        self.count += 1
        with Operations() as operations:
            result = work(given)
        return lambda: operations.again(result)


class Scores(SlotRunner):
    """Notes the scores of each step."""

    noted: list[Tensor]

    def step(self) -> Tensor:
        scores = super().step()
        self.noted = [*getattr(self, "noted", []), scores.clone()]
        return scores


def scores(model: Any, passes: Callable[[int], FirstPass], window: int | None, record: Any) -> tuple[Scores, list[Any]]:
    """The runner after all of the plan, and the tokens of each of its sequences."""
    runner = Scores(model, window, record)
    batch = RunningBatch(runner)
    sequences = [sequence(passes(length), [Budget(count)]) for _, length, count in PLAN]
    for step in range(40):
        for each, (start, *_) in zip(sequences, PLAN, strict=True):
            if start == step:
                batch.join([each])
        batch.step()
    assert batch.is_empty
    return runner, [each.tokens for each in sequences]


def compared(model: Any, axes: int, monkeypatch: pytest.MonkeyPatch, window: int | None = None) -> None:
    monkeypatch.setattr(cache, "ROUND", 16)
    size = model.get_input_embeddings().weight.shape[1]

    def passes(length: int) -> FirstPass:
        random = torch.Generator().manual_seed(length)
        counted = in_order(torch.randn(length, size, generator=random))
        return FirstPass(counted.embeds, counted.positions.expand(axes, -1))

    record = Recorder()
    plain, tokens = scores(model, passes, window, None)
    recorded, same = scores(model, passes, window, record)
    assert same == tokens
    assert max(apart(ours, theirs) for ours, theirs in zip(recorded.noted, plain.noted, strict=True)) < 1e-5
    assert 3 < record.count < len(plain.noted) / 2  # several shapes, each of which served many steps


@pytest.mark.parametrize("make", [qwen2_5_vl, qwen3_vl], ids=lambda make: make.__name__)
def test_models_with_positions_in_a_plane(make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    compared(make().eval(), 3, monkeypatch)


@pytest.mark.parametrize("window", [None, 7], ids=["all", "a window"])
def test_deepseek_ocr(engine: NativeEngine[Any], window: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.network.model.set_experts_implementation("grouped_mm")  # as on a GPU
    compared(engine.network.model, 1, monkeypatch, window)


def test_dots_ocr(dots: NativeEngine[Any], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    compared(dots.network.model, 1, monkeypatch)


def test_layers_that_keep_states_are_not_recorded() -> None:
    record = Recorder()
    runner = SlotRunner(qwen3_5().eval(), record=record)
    RunningBatch(runner).join(
        [sequence(FirstPass(torch.zeros(3, 32), torch.zeros(3, 3, dtype=torch.long)), [Budget(3)])]
    )
    runner.step()
    assert record.count == 0


# --- Recordings -------------------------------------------------------------------------------------------------


def test_what_was_recorded_takes_new_numbers_and_is_done_no_more_once_forgotten() -> None:
    done: list[Tensor] = []

    def record(work: Work, given: Tensor) -> Again:
        done.append(given)
        return lambda: work(given)

    recordings = Recordings(record)
    for number in (1.0, 2.0):
        assert recordings.run("key", torch.tensor([number]), lambda given: given * 10).item() == number * 10
    assert len(done) == 1
    recordings.forget()
    recordings.run("key", torch.tensor([3.0]), lambda given: given)
    assert len(done) == 2


def test_where_a_step_cannot_be_recorded_it_is_told_once_and_done_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    def record(_work: Work, _given: Tensor) -> Again:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    recordings = Recordings(record)
    with caplog.at_level(logging.WARNING):
        results = [recordings.run(key, torch.ones(1), lambda given: given + 1).item() for key in "aab"]
    assert results == [2, 2, 2]
    assert [each.message for each in caplog.records] == [
        "Steps are not recorded from here on, and slower for that: operation not permitted when stream is capturing"
    ]
