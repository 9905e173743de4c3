"""Text that is hard on whoever takes it apart, and everything in this project that does so.

Each part takes a whole text and feeds it character by character, as a model would write it at its worst.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from tokenizers import Tokenizer, decoders, models

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.answers.elements import Elements
from ocr.answers.matching import best_matches
from ocr.decoding.text import TextStream
from ocr.models.catalog import MODELS
from ocr.models.tasks import GUNDAM, LOCATE, MARKDOWN
from ocr.output.markdown import MarkdownPage
from ocr.output.writers import WRITERS
from ocr.reading.answer import StreamedAnswer
from ocr.reading.joining import JoinedAnswer
from ocr.reading.request import Request
from ocr.types import AnswerEvent, Element, FinishReason, Markdown, Opened, PageResult, PageStart, Raw, Text

SCALE = Scale(extent=(999.0, 999.0), page=(1000, 1000))
REFERENCE = "the total of the invoice is 20 "

# One piece of each text, which is the piece over and over.
PIECES: Mapping[str, str] = {
    "letters": "a",
    "words": "word ",
    "digits": "7",
    "spaces": " ",
    "tabs": "\t",
    "line ends": "\n",
    "blank lines": "\n \t",
    "carriage returns": "\r\n",
    "quotes": '"',
    "apostrophes": "'",
    "typographic quotes": "“",
    "quotes and commas": '", ',
    "backslashes": "\\",
    "escapes": "\\n",
    "halves of pairs": "\\ud83d",
    "formulas opened": r"\(",
    "displays opened": r"\[",
    "formulas": r"\(x\)",
    "environments opened": r"\begin{align}",
    "half environments": r"\begin{",
    "dollars": "$",
    "backticks": "`",
    "backticks apart": "` `` ",
    "fences": "```\n",
    "tildes": "~",
    "braces opened": "{",
    "braces": "{}",
    "brackets opened": "[",
    "brackets": "[]",
    "parentheses": "(",
    "points": "(1,2),",
    "half points": "(1, ",
    "less than": "<",
    "tags": "<td>",
    "code tags": "<pre>",
    "half marks": "<|re",
    "marks": "<|ref|>",
    "marks closed": "<|ref|>a<|/ref|>",
    "elements": "<|ref|>a<|/ref|><|det|>[[1,2,3,4]]<|/det|>",
    "box lists": "<|det|>[[1,2,3,4],",
    "bars": "|",
    "commas": ",",
    "colons": "a:",
    "objects": '{"bbox": [1,2,3,4], "category": "Text", "text": "a"},',
    "half objects": '{"text": "a',
    "half names": '{"bb',
    "our marks": "<--- Page Split --->",
    "half of our marks": "<--- Page ",
    "comments": "<!--",
    "hyphens": "-",
    "controls": "\x1b[31m",
    "replaced commands": "\\coloneqq",
    "letters of four bytes": "\U0001f600",
    "entities": "&amp",
    "bytes of no character": "\xff",  # as what is released, and letters elsewhere
    "halves of characters": "\xe4\xbd",
}
# What stands before the text, so that it comes where a parser is in the middle of something.
OPENINGS: Mapping[str, Mapping[str, str]] = {
    "grounded": {"": "", "label": "<|ref|>", "boxes": "<|det|>", "text": "<|det|>[[1,2,3,4]]<|/det|>"},
    "layout_json": {
        "": "",
        "object": "[{",
        "string": '[{"bbox": [1, 2, 3, 4], "category": "Text", "text": "',
        "formula": '[{"bbox": [1, 2, 3, 4], "category": "Formula", "text": "',
        "apostrophes": "[{'text': '",
        "bare": "[{text: ",
        "box": '[{"bbox": [',
        "after": '[{"text": "a"}] ',
    },
    "element_json": {"": "", "string": '[{"category": "text", "text": "'},
    "scene_text": {"": "", "place": "(1, 2), (3, 4), (5, 6), (7, 8) "},
    "plain": {"": ""},
}


def consume(events: Iterable[object]) -> None:
    for _ in events:
        pass


def parsed(dialect: str, opening: str, text: str) -> None:
    parser, elements = PARSERS[dialect](SCALE), Elements()

    def take(events: Iterable[AnswerEvent]) -> None:
        for event in events:
            consume(elements.feed(event))

    take(parser.feed(opening))
    for character in text:
        take(parser.feed(character))
    take(parser.close())
    consume(elements.close())


def shown(kind: str, text: str) -> None:
    page = MarkdownPage(1, replacements=MODELS["deepseek-ocr"].replacements)
    page.write(Opened(kind, kind, (1, 2, 3, 4)))
    for character in text:
        page.write(Text(character))
    page.close()


def answered(model: str, task: str, text: str) -> StreamedAnswer:
    request = Request(model, task, REFERENCE if task == LOCATE else "", resolution=GUNDAM)
    answer = StreamedAnswer(request, 1, SCALE)
    for character in text:
        consume(answer.feed(character))
    consume(answer.close())
    return answer


def joined(text: str) -> None:
    """A page in two parts that overlap and say the same."""
    answer = JoinedAnswer(Request("deepseek-ocr"), 1, lambda page, picture: "")
    part = answered("deepseek-ocr", MARKDOWN, text[: len(text) // 2])
    consume(answer.add(part, (0, 0, 1000, 600)))
    consume(answer.add(part, (0, 400, 1000, 1000)))
    consume(answer.close())


def matched(text: str) -> None:
    best_matches([Element("text", "Text", None, text)], REFERENCE * 30)


def written(name: str, text: str) -> None:
    writer = WRITERS[name]()
    writer.write(PageStart(1, 1000, 1000))
    for character in text:
        writer.write(Raw(character))
        writer.write(Markdown(character))
    element = Element("text", "text", (1, 2, 3, 4), text)
    writer.write(element)
    problems = tuple(text[i : i + 60] for i in range(0, len(text), 60))
    result = PageResult(1, 1000, 1000, "m", text, text, (element,), FinishReason.ERROR, problems=problems, error=text)
    writer.write(result)
    writer.close()


BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def byte_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(BYTES)}, [], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


def released(text: str) -> None:
    """Its bytes as tokens; what is no letter comes as bytes that make no character."""
    stream = TextStream(byte_tokenizer(), skip_special_tokens=True)
    for byte in text.encode("latin-1", "replace")[: len(text)]:
        stream.feed(byte)
    stream.close()


PARTS: Mapping[str, Callable[[str], object]] = {
    **{
        f"{dialect} {where}".strip(): partial(parsed, dialect, opening)
        for dialect, openings in OPENINGS.items()
        for where, opening in openings.items()
    },
    **{f"markdown of {kind}": partial(shown, kind) for kind in ("text", "formula", "picture")},
    "answer of deepseek": partial(answered, "deepseek-ocr", MARKDOWN),
    "answer of dots": partial(answered, "dots.ocr", MARKDOWN),
    "located by dots": partial(answered, "dots.ocr", LOCATE),
    "joined": joined,
    "matched": matched,
    **{f"written as {name}": partial(written, name) for name in WRITERS},
    "released": released,
}


def text_of(piece: str, length: int) -> str:
    return (piece * (length // len(piece) + 1))[:length]
