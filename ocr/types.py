"""The values that travel between the parts, and the protocol of an engine. Knows no model and no file format."""

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

from PIL import Image

from ocr.errors import InputError, OCRError

MAX_NEW_TOKENS = 32768  # tokens a page may be given at most, by any caller

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in page pixels, origin top left


Point = tuple[float, float]  # x, y in page pixels


class Source(StrEnum):
    """What tells the text of a page."""

    MODEL = "model"  # the one that was asked, looking at the page
    LINES = "lines"  # the networks for lines of print, looking at the page
    LAYER = "text layer"  # the file, which has the page's text beside its look


class FinishReason(StrEnum):
    """Why a page ended, best first: the finish reason of a document is the last in this order of its pages'."""

    STOP = "stop"  # the model said it was done
    BLANK = "blank"  # there is nothing on the page, so no model was asked
    LENGTH = "length"  # the token budget or the model's context was used up
    REPETITION = "repetition"  # the model had begun to repeat itself for ever
    DEADLINE = "deadline"  # the time for the page was used up
    CANCELLED = "cancelled"  # the caller no longer wants the answer
    ERROR = "error"  # the page could not be read: PageResult.error says why


def worst(reasons: Sequence[FinishReason]) -> FinishReason:
    """The finish reason of a whole document: the worst of its pages'."""
    return max(reasons, key=list(FinishReason).index, default=FinishReason.STOP)


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn from a model's scores; as it stands, the likeliest is taken."""

    temperature: float = 0.0  # 0 is greedy
    top_p: float = 1.0  # of the likeliest tokens those that make up this much together; 1 for all
    repetition_penalty: float = 1.0  # by which scores of tokens that were there before shrink; 1 for not at all


@dataclass(frozen=True)
class Prompt:
    """What a model is asked for one task, and how its answer reads."""

    template: str  # the trained wording; {text} stands for the user's words, other names for what the engine fills in
    dialect: str = "plain"  # the name of the answer's form in ocr.answers
    lists_boxes: bool = False  # whether the places are the answer, so that markdown must show them
    selects: bool = False  # whether only the elements that match the user's words are the answer: ocr.answers.matching
    system: str = ""  # what a system message says that the wording was trained with
    sampling: Sampling = Sampling()  # the makers' own for this prompt
    # Where it is not about the page as a whole: what is asked of each region that is found on it, by what it holds
    # (ocr.models.layout.labels). Regions that hold what is not here are not read.
    regions: "Mapping[str, Prompt] | None" = field(default=None, hash=False)
    together: "Together | None" = None  # how several pages are asked about at once, where they may be; one is as here
    ngram_window: int | None = None  # tokens that the model's own ban on repeated n-grams covers, if not its usual ones


@dataclass(frozen=True)
class Together:
    """How a model is asked about several pages in one prompt, and how its one answer tells them apart."""

    prompt: Prompt  # its image mark stands for the images of all pages, one after the other
    preset: Any  # how closely the model looks at each of them, as in PageInput
    mark: str  # what begins the answer for each page
    most: int  # pages


@dataclass(frozen=True)
class Decoding:
    """How pages are decoded: as the prompt's makers do, within these limits."""

    max_new_tokens: int = 8192  # for each page or part of one, the end-of-text token counted
    temperature: float | None = None  # 0 is greedy; None for the prompt's own
    seed: int = 0  # of the random numbers that a temperature above 0 draws
    deadline_s: float | None = None  # of the own seconds, as in Piece, of each page or part of one; None for no limit
    ngram_ban: tuple[int, int] | None = None  # n and window of a ban on repeated n-grams, beside the model's own rules
    together: int | None = None  # pages that are decoded together at most; None: as many as memory has room for

    def __post_init__(self) -> None:
        if not 1 <= self.max_new_tokens <= MAX_NEW_TOKENS:
            raise InputError(f"is {self.max_new_tokens}; it must be from 1 to {MAX_NEW_TOKENS}.", "max_new_tokens")
        if self.temperature is not None and not (math.isfinite(self.temperature) and 0 <= self.temperature <= 2):
            raise InputError(f"is {self.temperature}; it must be from 0 (greedy) to 2.", "temperature")

    def sampling(self, prompt: Prompt) -> Sampling:
        """How the tokens of an answer to this prompt are drawn."""
        return prompt.sampling if self.temperature is None else replace(prompt.sampling, temperature=self.temperature)

    def of_pages(self, pages: int) -> "Decoding":
        """That of an answer for so many pages: the limits are for each page."""
        tokens = min(self.max_new_tokens * pages, MAX_NEW_TOKENS)
        seconds = None if self.deadline_s is None else self.deadline_s * pages
        return replace(self, max_new_tokens=tokens, deadline_s=seconds)


@dataclass(frozen=True)
class PageInput:
    """One page as an engine takes it, or several in one prompt."""

    image: Image.Image  # upright, mode RGB
    prompt: Prompt
    text: str  # what stands for {text} in the prompt's template; "" where it has none
    preset: Any  # how closely the model looks: a row of its card's presets, which only its own processor understands
    # Asked by the thread that reads, before every token and while it waits; a reason ends the page, its text kept, and
    # what it raises ends the reading.
    stop: Callable[[], FinishReason | None] = lambda: None
    more: tuple[Image.Image, ...] = ()  # the pages after the first, where the prompt is one of several: `Together`


@dataclass(frozen=True)
class Prepared:
    """An engine's first word on each page: what the model is about to see, before any of it is computed."""

    page: int  # index into the pages the engine was given
    prompt_tokens: int  # all of them, the image's included
    image_tokens: int
    extent: tuple[float, float]  # the width and height over which the boxes in the model's answer run


@dataclass(frozen=True)
class Problem:
    """Something that an engine knows to be missing or doubtful in its answer."""

    says: str  # a sentence, without a full stop
    places: tuple[Box, ...] = ()  # in the coordinates of the boxes in the answer


@dataclass(frozen=True)
class Piece:
    """Some text of one page, final as it stands; with a finish reason, the last of that page."""

    page: int  # index into the pages the engine was given
    text: str
    tokens: int  # completion tokens spent on the page so far
    finish: FinishReason | None = None
    seconds: float = field(default=0.0, compare=False)  # computed for the page so far, its share of steps together
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Failed:
    """The last word on a page that could not be read."""

    page: int  # index into the pages the engine was given
    error: OCRError
    again: bool = False  # whether it may be read by itself: it failed together with others


class Engine(Protocol):
    """One loaded model. It knows pixels, prompts and text; not files, layout, HTTP or Cog."""

    def check(self, prompt: Prompt, text: str) -> None:
        """Raise InputError for a text that no page could be asked with."""
        ...

    def scale(self, size: tuple[int, int], preset: Any) -> float:
        """How many px the model sees at this preset for each px of a page of this (width, height); most closely."""
        ...

    def read(self, pages: Iterable[PageInput], decoding: Decoding) -> Generator[Prepared | Piece | Failed]:
        """Decode pages: a `Prepared` for each, then its text in `Piece`s, the last with a reason, or `Failed`.

        Pages are taken as there is room for them, so that those of one call, and of calls in other threads, may be
        decoded together; what comes of several is mixed. Closing the generator stops the work within one token.
        """
        ...


@dataclass(frozen=True)
class Region:
    """Something on a page that a detector found."""

    label: str  # the detector's own word for what it is
    bbox: Box  # page pixels, inside the page
    score: float  # how sure the detector is, 0 to 1


class Detector(Protocol):
    """A network that finds what a page consists of. It knows pixels and labels; nothing of what stands there."""

    def find(self, image: Image.Image) -> Sequence[Region]:
        """The regions of an upright RGB page in reading order; they may overlap."""
        ...


@dataclass(frozen=True)
class Opened:
    """An element begins: what it is and where it is. The Texts that follow are what it says."""

    type: str  # one of ocr.answers.elements.ELEMENT_TYPES
    label: str  # the model's own word for it
    bbox: Box | None = None  # page pixels, inside the page; None where the model gave no place


@dataclass(frozen=True)
class Text:
    """Some more text of the element opened last, or of the page itself before the first one."""

    text: str


AnswerEvent = Opened | Text  # what a parser makes of a model's answer


@dataclass(frozen=True)
class Element:
    """One thing on a page, whole: what it is, where it is, what it says."""

    type: str  # these three as in Opened
    label: str
    bbox: Box | None = None
    text: str = ""


@dataclass(frozen=True)
class Line:
    """One line of print on a page, as networks that find and read lines see it."""

    text: str  # "" where print was found that could not be read
    score: float  # mean probability of its signs, 0 to 1
    corners: tuple[Point, Point, Point, Point]  # of its frame, from the upper left of the text as it reads, clockwise

    @property
    def bbox(self) -> Box:
        """The upright box around its frame."""
        xs, ys = zip(*self.corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)


@dataclass(frozen=True)
class Omitted:
    """Print that was found on a page and not in the answer."""

    text: str  # as it was read there: a line, or what of one the answer lacks
    bbox: Box  # of the whole line


@dataclass(frozen=True)
class Unsupported:
    """Text of the answer that was not found on the page."""

    text: str  # as it stands in the answer, on one line
    element: int | None = None  # index into the page's elements; None for text that is of none
    bbox: Box | None = None  # of the element, where it has a place


@dataclass(frozen=True)
class Conflict:
    """A number or word that reads one way on the page and another in the answer; either may be right."""

    line: str  # as it was read on the page; "" where the answer has something more
    answer: str  # as it stands in the answer; "" where the page has something more
    bbox: Box  # of the line on the page
    element: int | None = None  # as in Unsupported


@dataclass(frozen=True)
class Check:
    """Where an answer and the lines of its page, as they are known from elsewhere, disagree; either may be right."""

    lines: int  # that were compared
    omitted: tuple[Omitted, ...] = ()
    unsupported: tuple[Unsupported, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    failure: str = ""  # why the page cannot be checked, one sentence for people; then there is nothing else
    reference: Source = Source.LINES  # where the lines are from

    @property
    def disagreements(self) -> int:
        """How many places there are where they disagree."""
        return len(self.omitted) + len(self.unsupported) + len(self.conflicts)


@dataclass(frozen=True)
class Raw:
    """Some more of the model's own text."""

    text: str


@dataclass(frozen=True)
class PageResult:
    """One page, read: everything that is known of it, with the reason its text ended."""

    page: int  # its number in the document, from 1
    width: int  # px
    height: int  # px
    model: str
    text: str  # the model's own text
    markdown: str
    elements: tuple[Element, ...]
    finish_reason: FinishReason
    prompt_tokens: int = 0  # these three are of all attempts together
    completion_tokens: int = 0
    image_tokens: int = 0
    time_to_first_token: float = 0.0  # s from when it was taken up
    seconds: float = (
        0.0  # s spent on the page, all attempts; pages of a batch divide the time, so that sums over pages are true
    )
    problems: tuple[str, ...] = ()  # of the image, then of the answer: what is missing or not understood
    retries: int = 0  # how often the page was read again after text had come: it repeated itself, or its batch failed
    error: str = ""  # why the page could not be read, one sentence for people; with finish_reason ERROR alone
    turned: int = 0  # degrees clockwise by which the page was turned before it was read; sizes and boxes are after it
    check: Check | None = None  # the second opinion on it; None where none was asked for or nothing was read
    source: Source = Source.MODEL  # what told the text
    layer_doubt: str = ""  # why the page's text layer, which was asked for, is not the source, one sentence for people
    # The page itself, None where there was none to read. It is large: whoever keeps results keeps them without_image.
    image: Image.Image | None = field(default=None, compare=False, repr=False)

    def without_image(self) -> "PageResult":
        """The same result to be kept or written down."""
        return replace(self, image=None)


@dataclass(frozen=True)
class PageStart:
    """A page is about to be read; what follows is of it, up to its PageResult. One that cannot be opened has none."""

    page: int  # its number in the document, from 1
    width: int  # px
    height: int  # px
    turned: int = 0  # as in PageResult


@dataclass(frozen=True)
class Markdown:
    """Some more of a page's markdown."""

    text: str


@dataclass(frozen=True)
class Retry:
    """The page's events begin again, because it is read again or an earlier attempt was the best after all.

    What came of the page so far does not count; what comes after the last Retry is what its PageResult holds.
    """

    page: int  # its number in the document, from 1
    reason: FinishReason  # of the attempt that is given up


# What reading a page yields: text as soon as it is certain, an element as soon as it is whole, the result at the end.
PageEvent = PageStart | Raw | Markdown | Element | Retry | PageResult
