"""One running batch for many callers: each page's tokens are those it gets alone, callers take turns, memory bounds
them, failures and farewells cost nobody else anything."""

import itertools
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from ocr.decoding.loop import RunningBatch
from ocr.decoding.rules import Budget
from ocr.decoding.runner import SlotRunner
from ocr.decoding.sharing import Claim, SharedBatch, Stream
from ocr.engines.native import NativeEngine
from ocr.errors import ModelError, SetupError
from ocr.models.catalog import MODELS
from ocr.models.dots import engine as dots
from ocr.models.dots.card import DOTS_OCR
from ocr.types import Decoding, Failed, FinishReason, PageInput, Piece, Prepared
from tests.checkpoints_dots import FLOAT32, write_dots
from tests.pictures import page
from tests.scripted import scripted
from tests.sequences import EMPTY, Counting, sequence

PROMPT = MODELS["deepseek-ocr"].tasks["Free OCR"]
TINY = MODELS["deepseek-ocr"].presets["Tiny"]
Outputs = Generator[Prepared | Piece | Failed]


def asked(width: int = 200, height: int = 120, model: str = "deepseek-ocr") -> PageInput:
    return PageInput(page(width, height), MODELS[model].tasks["Free OCR"], "", MODELS[model].presets["Tiny"])


# --- The same tokens as alone -----------------------------------------------------------------------------------

SIZES = ((200, 120), (90, 300), (300, 300), (120, 70))
LENGTHS = (14, 5, 9, 12)  # tokens


@pytest.fixture(scope="module")
def engines(engine: NativeEngine[Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, NativeEngine[Any]]:
    folder: Path = write_dots(tmp_path_factory.mktemp("checkpoints") / "dots.ocr")
    return {"deepseek-ocr": engine, "dots.ocr": dots.load(folder, DOTS_OCR, FLOAT32)}


def opened(engine: NativeEngine[Any], model: str, number: int, temperature: float) -> Outputs:
    """A caller of one page, with a length and a seed of its own."""
    decoding = Decoding(max_new_tokens=LENGTHS[number], temperature=temperature, seed=number)
    return engine.read([asked(*SIZES[number], model)], decoding)


def text_of(outputs: Sequence[Prepared | Piece | Failed]) -> tuple[str, int]:
    pieces = [output for output in outputs if isinstance(output, Piece)]
    return "".join(piece.text for piece in pieces), pieces[-1].tokens


@pytest.mark.parametrize("temperature", [0.0, 1.2], ids=["greedy", "sampled"])
@pytest.mark.parametrize("model", ["deepseek-ocr", "dots.ocr"])
def test_whoever_comes_goes_and_gives_up_each_gets_what_it_gets_alone(
    engines: dict[str, NativeEngine[Any]], model: str, temperature: float
) -> None:
    """In every order, three callers come two steps after one another, and one of them gives up after its third word."""
    engine = engines[model]
    alone = [text_of(list(opened(engine, model, number, temperature))) for number in range(3)]
    assert [tokens for _, tokens in alone] == list(LENGTHS[:3])
    for order, leaver in itertools.product(itertools.permutations(range(3)), range(3)):
        callers, found = {}, {number: list[Any]() for number in order}
        for turn in itertools.count():
            if turn % 2 == 0 and turn // 2 < 3:
                callers[order[turn // 2]] = opened(engine, model, order[turn // 2], temperature)
            for number, outputs in list(callers.items()):
                found[number] += itertools.islice(outputs, 1)
                if found[number][-1].__class__ is Piece and found[number][-1].finish:
                    del callers[number]
            if leaver in callers and len(found[leaver]) == 4:
                callers.pop(leaver).close()
            if not callers and turn > 4:
                break
        assert [text_of(found[number]) for number in range(3) if number != leaver] == [
            alone[number] for number in range(3) if number != leaver
        ]
        assert alone[leaver][0].startswith(text_of(found[leaver])[0])


def test_callers_in_threads_of_their_own_get_what_they_get_alone(engines: dict[str, NativeEngine[Any]]) -> None:
    engine, found = engines["dots.ocr"], {}
    alone = [text_of(list(opened(engine, "dots.ocr", number % 4, 1.2))) for number in range(8)]

    def call(number: int) -> None:
        found[number] = text_of(list(opened(engine, "dots.ocr", number % 4, 1.2)))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [found[number] for number in range(8)] == alone


# --- Room and turns ---------------------------------------------------------------------------------------------


class Room:
    """A batch whose rows take 10 bytes each, on a machine with so many in all; the tokens of its pages are all A."""

    def __init__(self, total: float = 1e9, joiners: int = 1) -> None:
        self.runner = Counting()
        self.batch = SharedBatch(
            lambda: self.runner, joiners=joiners, free_bytes=lambda: total - 10 * len(self.runner.running)
        )
        type(self.runner).held_bytes = property(lambda runner: 10.0 * len(runner.running))  # type: ignore[assignment]

    @property
    def most(self) -> int:
        return max(self.runner.sizes)


@pytest.fixture(autouse=True)
def _plain_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counting, "held_bytes", 0.0)


def add(stream: Stream, number: int, tokens: int, together: int = 99, bytes_: float = 10) -> None:
    stream.add(number, lambda: sequence(EMPTY, [Budget(tokens)]), lambda: None, Claim(bytes_, together))


def ends(stream: Stream, count: int) -> list[int]:
    """The next pages of a caller that are over, in the order in which they are."""
    over: list[int] = []
    while len(over) < count:
        over += [output.page for output in stream.outputs() if isinstance(output, Failed) or output.finish]
    return over


@pytest.mark.parametrize(("total", "most"), [(5, 1), (25, 2), (1000, 6)])
def test_as_many_run_as_memory_has_room_for(total: float, most: int) -> None:
    room = Room(total)
    with room.batch.stream() as stream:
        for number in range(6):
            add(stream, number, 20)
        assert sorted(ends(stream, 6)) == list(range(6))
    assert room.most == most


def test_a_long_page_makes_room_for_fewer_since_every_row_grows_with_it() -> None:
    room = Room(45)
    with room.batch.stream() as stream:
        for number, bytes_ in enumerate((10, 10, 20, 10)):
            add(stream, number, 9, bytes_=bytes_)
        ends(stream, 4)
    assert room.most == 2


def test_whoever_asks_to_run_with_few_does() -> None:
    room = Room()
    with room.batch.stream() as stream:
        for number, together in enumerate((99, 99, 1, 99)):
            add(stream, number, 9, together)
        assert ends(stream, 4) == [0, 1, 2, 3]
    assert room.runner.sizes.count(2) > 5
    assert room.most == 2


def test_a_long_document_does_not_keep_a_page_of_another_caller_waiting() -> None:
    room = Room()
    with room.batch.stream() as document, room.batch.stream() as single:
        for number in range(50):
            add(document, number, 4, together=2)
        assert ends(document, 3) == [0, 1, 2]
        add(single, 0, 4, together=2)
        assert ends(single, 1) == [0]
        assert len(document.waiting) > 50 - 3 - 5  # it went on meanwhile, by a few pages


def test_callers_take_turns() -> None:
    room, order = Room(), []
    with room.batch.stream() as first, room.batch.stream() as second:
        for stream, name in ((first, "a"), (second, "b")):
            for number in range(3):
                begin = lambda name=name: order.append(name) or sequence(EMPTY, [Budget(2)])  # noqa: E731
                stream.add(number, begin, lambda: None, Claim(10, 1))
        ends(first, 3)
        ends(second, 3)
    assert order == ["a", "b"] * 3


@pytest.mark.parametrize(("joiners", "sizes"), [(1, [1, 1, 1, 2, 1]), (4, [3, 3])])
def test_a_few_join_between_two_steps(joiners: int, sizes: list[int]) -> None:
    room = Room(joiners=joiners)
    with room.batch.stream() as stream:
        for number in range(3):
            add(stream, number, 9)
        ends(stream, 3)
    assert room.runner.sizes[: len(sizes)] == sizes


# --- Whoever goes -----------------------------------------------------------------------------------------------


def idle(batch: SharedBatch) -> None:
    """Wait until the thread has done what it has to."""
    batch._thread.submit(lambda: None).result(10)


def test_nothing_is_computed_while_nobody_waits() -> None:
    room = Room()
    with room.batch.stream() as stream:
        add(stream, 0, 9)
        next(iter(stream.outputs()))
        idle(room.batch)
        assert room.runner.sizes == [1]


def test_whoever_goes_takes_its_pages_along_those_that_run_and_those_that_wait() -> None:
    room = Room()
    with room.batch.stream() as other:
        with room.batch.stream() as stream:
            for number in range(3):
                add(stream, number, 50, together=1)
            next(iter(stream.outputs()))
        idle(room.batch)
        assert room.runner.running == []
        add(other, 7, 3, together=1)
        assert ends(other, 1) == [7]
    assert room.runner.sizes == [1, 1, 1, 1]


def test_a_page_that_waits_for_its_turn_can_be_stopped() -> None:
    room, wanted = Room(), {"is": True}
    with room.batch.stream() as long, room.batch.stream() as short:
        add(long, 0, 500, together=1)
        next(iter(long.outputs()))
        stop: Callable[[], FinishReason | None] = lambda: None if wanted["is"] else FinishReason.CANCELLED  # noqa: E731
        short.add(3, lambda: sequence(EMPTY, [Budget(5)]), stop, Claim(10, 1))
        list(short.outputs())
        wanted["is"] = False
        (end,) = [output for _ in range(3) for output in short.outputs()][:1]
        assert end == Piece(3, "", 0, FinishReason.CANCELLED)
        assert not room.batch.turns


def test_what_a_stop_raises_ends_the_reading_of_its_caller_alone() -> None:
    class GoneError(Exception):
        pass

    def gone() -> None:
        raise GoneError

    engine = scripted("a first answer", "a second one")
    other = engine.read([asked()], Decoding())
    next(other), next(other)
    leaving = PageInput(page(), PROMPT, "", TINY, stop=gone)
    with pytest.raises(GoneError):
        list(engine.read([leaving], Decoding()))
    assert "".join(piece.text for piece in other if isinstance(piece, Piece)) == " first answer"


# --- What fails -------------------------------------------------------------------------------------------------


def failures(stream: Stream, count: int) -> list[Failed]:
    found: list[Failed] = []
    while len(found) < count:
        found += [output for output in stream.outputs() if isinstance(output, Failed)]
    return found


def test_a_page_whose_image_cannot_be_computed_is_the_only_one_to_fail() -> None:
    def broken() -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    room = Room(joiners=4)
    with room.batch.stream() as stream, room.batch.stream() as other:
        add(other, 0, 6)
        next(iter(other.outputs()))
        stream.add(0, broken, lambda: None, Claim(10, 9))
        add(stream, 1, 4)
        (failed,) = failures(stream, 1)
        assert (failed.page, failed.again, type(failed.error)) == (0, False, SetupError)
        assert ends(stream, 1) == [1]
        assert ends(other, 1) == [0]


class Breaking(Counting):
    """Fails at its n-th pass of each kind, once."""

    def __init__(self, *, prefill: int = -1, step: int = -1, whole: bool = True) -> None:
        super().__init__()
        self._left = {"prefill": prefill, "step": step}
        self._whole = whole

    def _break(self, kind: str) -> None:
        self._left[kind] -= 1
        if self._left[kind] == -1:
            self.is_whole = self._whole
            raise RuntimeError("It broke.")

    def prefill(self, sequences: Sequence[Any]) -> torch.Tensor:
        self._break("prefill")
        return super().prefill(sequences)

    def step(self) -> torch.Tensor:
        self._break("step")
        return super().step()


@pytest.mark.parametrize(
    ("how", "lost", "again"),
    [
        ({"step": 1}, {0, 1}, True),  # they ran together
        ({"prefill": 1, "whole": False}, {0, 1}, True),  # the cache of one was being put beside the other's
        ({"prefill": 1}, {1}, False),
    ],
    ids=["a step", "joining", "a first pass"],
)
def test_a_failure_costs_those_that_it_concerns_and_whoever_waits_goes_on(
    how: dict[str, Any], lost: set[int], again: bool
) -> None:
    runners = iter([Breaking(**how), Counting()])
    batch = SharedBatch(lambda: next(runners), joiners=1, free_bytes=lambda: 1e9)
    with batch.stream() as stream:
        for number in range(4):
            add(stream, number, 9, together=2)
        found = failures(stream, len(lost))
        assert {failed.page for failed in found} == lost
        assert all(failed.again is again and isinstance(failed.error, ModelError) for failed in found)
        assert sorted(ends(stream, 4 - len(lost))) == sorted(set(range(4)) - lost)


def test_a_mistake_of_the_thread_itself_keeps_nobody_waiting() -> None:
    batch = SharedBatch(Counting, joiners=1, free_bytes=lambda: [][0])  # type: ignore[var-annotated]
    with batch.stream() as stream:
        add(stream, 0, 9)
        add(stream, 1, 9)
        with pytest.raises(IndexError):
            ends(stream, 2)


def test_joined_caches_that_broke_off_are_not_whole(engine: NativeEngine[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    runner = SlotRunner(engine.network.model)
    batch = RunningBatch(runner)
    prompts = [engine.network.merge(list(range(3, 3 + length)), torch.zeros(0, 80), 299) for length in (5, 9)]
    batch.join([sequence(prompts[0], [Budget(9)])])
    with pytest.raises(RuntimeError):
        batch.join([sequence(torch.zeros(4, 79), [Budget(9)])])  # of another width
    assert runner.is_whole
    monkeypatch.setattr("ocr.decoding.cache.SlotLayer.put", lambda layer, row, other: [][0])
    with pytest.raises(IndexError):
        batch.join([sequence(prompts[1], [Budget(9)])])
    assert not runner.is_whole
