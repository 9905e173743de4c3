"""Several pages in one prompt: an engine that asks another about them in groups, and tells their answers apart. Knows
no model, no layout and no results."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count, islice
from typing import Any

from ocr.answers.text import held_back
from ocr.errors import ModelError, OCRError
from ocr.types import Decoding, Engine, Failed, FinishReason, PageInput, Piece, Prepared, Problem, Prompt, Together

Numbered = tuple[int, PageInput]  # the caller's number for a page, and the page

KEPT = (FinishReason.DEADLINE, FinishReason.CANCELLED)  # where an answer breaks off, but its text is still wanted
TOO_MANY = "it goes on after the last one"
BROKEN_OFF = Problem(
    "The answer for several pages did not come to its end: text may be missing, or be that of the page before or after"
)


class GroupedEngine:
    """An `ocr.types.Engine` that asks another one about several pages at once.

    Text streams to the page whose turn it is, but no page is over before the answer is, since a model that leaves a
    page out gives every later page the text of another. Unless the answer came to its end with text for each of its
    pages, all of them failed, to be read again one by one. A page by itself is asked about as its own prompt says.
    """

    def __init__(self, engine: Engine, together: Together) -> None:
        self._engine, self._together = engine, together

    def check(self, prompt: Prompt, text: str) -> None:
        """See `ocr.types.Engine`."""
        self._engine.check(prompt, text)

    def scale(self, size: tuple[int, int], _preset: Any) -> float:
        """How many px the model sees for each px of a page in a group, where every page is looked at in one way."""
        return self._engine.scale(size, self._together.preset)

    def read(self, pages: Iterable[PageInput], decoding: Decoding) -> Generator[Prepared | Piece | Failed]:
        """Decode pages, each group as the other engine decodes a page; see `ocr.types.Engine`."""
        numbered, groups = enumerate(pages), dict[int, Group]()

        def asked() -> Iterator[PageInput]:
            for number in count():
                taken = list(islice(numbered, self._together.most))
                if not taken:
                    return
                groups[number] = Group(taken, self._together)
                yield groups[number].asked

        with closing(self._engine.read(asked(), decoding)) as outputs:
            for output in outputs:
                yield from groups[output.page].receive(output)
                if isinstance(output, Failed) or (isinstance(output, Piece) and output.finish):
                    del groups[output.page]


class Group:
    """Pages that one answer is about, in their order, and how far it has come."""

    def __init__(self, pages: Sequence[Numbered], together: Together) -> None:
        self._pages, self._together = pages, together
        self._turn = 0  # index of the page that the answer is at; beyond the last where it has come to more
        self._held = ""  # the end of the text, while it may be half of a mark
        self._has_begun = False  # whether a mark has come before any text
        self._has_text = [False] * len(pages)
        self._fault = ""  # why the answer is of no use, as soon as that is known
        self._tokens = [0] * len(pages)  # of the answer so far, by page
        self._taken = Piece(0, "", 0)  # the last of the answer: what it took so far

    @property
    def asked(self) -> PageInput:
        """The pages as the other engine is asked about them."""
        first, *others = (page for _, page in self._pages)
        if not others:
            return first
        more = tuple(page.image for page in others)
        return replace(first, prompt=self._together.prompt, preset=self._together.preset, more=more, stop=self._stop)

    def _stop(self) -> FinishReason | None:
        return FinishReason.CANCELLED if self._fault else self._pages[self._at][1].stop()

    @property
    def _at(self) -> int:
        """The index of the page whose turn it is."""
        return min(self._turn, len(self._pages) - 1)

    def receive(self, output: Prepared | Piece | Failed) -> Iterator[Prepared | Piece | Failed]:
        """What an output on all of them says of each."""
        if len(self._pages) == 1:
            yield replace(output, page=self._pages[0][0])
        elif isinstance(output, Prepared):
            yield from self._prepared(output)
        elif isinstance(output, Failed):
            yield from self._failed(output.error)
        else:
            self._tokens[self._at] += output.tokens - self._taken.tokens
            self._taken = output
            yield from self._texts(output)
            if output.finish:
                yield from self._end(output.finish)

    def _prepared(self, whole: Prepared) -> Iterator[Prepared]:
        """The image's tokens are those of as many equal images; the words belong to the first page."""
        each = whole.image_tokens // len(self._pages)
        rest = len(self._pages[1:]) * each
        for index, (number, _) in enumerate(self._pages):
            tokens = (each, each) if index else (whole.prompt_tokens - rest, whole.image_tokens - rest)
            yield Prepared(number, *tokens, whole.extent)

    def _texts(self, piece: Piece) -> Iterator[Piece]:
        """Some more of the answer, as text of the pages that it is about."""
        text, mark = self._held + piece.text, self._together.mark
        certain = len(text) if piece.finish else len(text) - held_back(text, (mark,))
        self._held = text[certain:]
        first, *others = text[:certain].split(mark)
        yield from self._say(first)
        for other in others:
            self._turn_over()
            yield from self._say(other)

    def _say(self, text: str) -> Iterator[Piece]:
        if self._turn == len(self._pages):
            self._fault = self._fault or (TOO_MANY if text.strip() else "")
        elif text and not self._fault:
            self._has_text[self._turn] |= bool(text.strip())
            yield self._piece(self._turn, text)

    def _turn_over(self) -> None:
        """A mark came: the first text, or that of the next page, begins. A page without text was left out."""
        if not any(self._has_text) and not self._has_begun:
            self._has_begun = True
        elif self._turn == len(self._pages):
            self._fault = self._fault or TOO_MANY
        elif self._has_text[self._turn]:
            self._turn += 1
        else:
            self._fault = self._fault or "one of them has no text in it"

    def _end(self, reason: FinishReason) -> Iterator[Piece | Failed]:
        if not self._fault and reason not in KEPT:
            self._fault = self._missing(reason)
        if self._fault:
            why = f"The answer for {len(self._pages)} pages together is of no use: {self._fault}."
            yield from self._failed(ModelError(why))
            return
        problems = (BROKEN_OFF,) if reason in KEPT else ()
        for index in range(len(self._pages)):
            yield replace(self._piece(index), finish=reason, problems=problems)

    def _missing(self, reason: FinishReason) -> str:
        """Why an answer that is over is of no use; "" for one that is whole."""
        if reason is not FinishReason.STOP:
            return f"it ended with {reason}"
        return "" if all(self._has_text) else f"it has text for {sum(self._has_text)} of them"

    def _failed(self, error: OCRError) -> Iterator[Piece | Failed]:
        """All pages are to be read again; what was taken for them is not forgotten."""
        for index, (number, _) in enumerate(self._pages):
            if self._taken.tokens:
                yield self._piece(index)
            yield Failed(number, error, again=True)

    def _piece(self, index: int, text: str = "") -> Piece:
        """Some text of a page. Pages divide the time, so that each has some left where their answer is of no use."""
        seconds = self._taken.seconds / len(self._pages)
        return Piece(self._pages[index][0], text, self._tokens[index], seconds=seconds)
