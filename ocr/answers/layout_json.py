"""Answers that are a JSON list of elements into elements in page pixels, as they stream. Each element that came whole
comes out once; what is broken comes out as far as it can be told, and is reported; no text is lost in silence."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ocr.answers.boxes import Scale
from ocr.answers.json_objects import Field, JsonObject, JsonObjects, Scanned, Stray, Value
from ocr.answers.json_text import unescape
from ocr.answers.text import shown, trimmed
from ocr.types import AnswerEvent, Box, Opened, Text

# The model's categories; one that is not here is kept and typed "other".
CATEGORIES: Mapping[str, str] = {
    "Caption": "caption",
    "Footnote": "footnote",
    "Formula": "formula",
    "List-item": "list_item",
    "Page-footer": "footer",
    "Page-header": "header",
    "Picture": "picture",
    "Section-header": "heading",
    "Table": "table",
    "Text": "text",
    "Title": "title",
}
FORMULA = "Formula"
# What models call the fields of an element, the trained name first; the first that says anything counts.
FIELDS: Mapping[str, Sequence[str]] = {
    "bbox": ("bbox", "bbox_2d", "box", "bounding_box"),
    "category": ("category", "type", "label", "class"),
    "text": ("text", "content", "value", "html", "markdown", "latex", "transcription", "text_content"),
}
_NUMBER = re.compile(r"-?\d{1,9}(?:\.\d{1,15})?")
_SCALAR = re.compile(r"true|false|null|True|False|None|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_NOTHING = ("null", "None")
_CODED_MATH = re.compile(r"`(\$[^`]*\$)`")  # the model's way of writing some formulas: in a code span
_ESCAPE = re.compile(r"((?:\\[^'])++)|\\'")  # runs of them, or one that JSON lacks


class LayoutJson:
    """Answers of the form `[{"bbox": [x1, y1, x2, y2], "category": "Text", "text": "…"}, …]`.

    An answer that is no JSON is text of the page. An element that is not whole is reported, and delivered if it has
    text, or a place and a category. What stands in an element under any other name, or outside of all, is reported.
    """

    def __init__(
        self, scale: Scale, categories: Mapping[str, str] = CATEGORIES, *, has_categories: bool = True
    ) -> None:
        """`categories` are the types of elements by the model's words for them; some answers have none."""
        self.problems: list[str] = []
        self._categories, self._has_categories = categories, has_categories
        self._scale = scale
        self._objects = JsonObjects()
        self._has_prose = False

    def feed(self, text: str) -> Iterable[AnswerEvent]:
        return self._understand(scanned) if (scanned := self._objects.feed(text)) else ()

    def close(self) -> Iterator[AnswerEvent]:
        yield from self._understand(self._objects.close())

    def _understand(self, scanned: Iterable[Scanned]) -> Iterator[AnswerEvent]:
        for found in scanned:
            if isinstance(found, JsonObject):
                yield from self._element(found)
            elif isinstance(found, Stray):
                self.problems.append(f"Text that belongs to no element: {found.text.strip()!r}")
            else:
                if not self._has_prose:
                    self.problems.append("The answer is text and no list of elements.")
                self._has_prose = True
                yield Text(found.text)

    def _element(self, found: JsonObject) -> Iterator[AnswerEvent]:
        """The events of one element; whatever is amiss with it is reported."""
        values, rest = _by_kind(found)
        categories = [value for value in values["category"] if value.text not in _NOTHING]
        category = categories[0].text.strip() if categories else ""
        text = trimmed("\n".join(_meaning(value, category == FORMULA) for value in values["text"]))
        if coded := _CODED_MATH.fullmatch(text):
            text = coded[1]
        box = self._box(values["bbox"])
        what = f"{category or 'no category'}, {shown(text)}"
        if not found.is_whole:
            self.problems.append(f"An element that is not whole: {what}")
        elif len(rest) == len(found.fields):
            self._report_said("An object that is no element", rest)
            return
        elif box is None:
            self.problems.append(f"An element without a box of four numbers: {what}")
        elif self._has_categories and not category:
            self.problems.append(f"An element without a category: {what}")
        if not all(value.quote or _is_scalar(value) for value in values["text"]):
            self.problems.append(f"A text without quotes: {what}")
        rest.append(Field("category", categories[1:]))
        strings = [
            Field(each.name, [value for value in each.values if value.text.strip() and not _is_scalar(value)])
            for each in rest
        ]
        self._report_said("Parts of an element that are not its text", [each for each in strings if each.values])
        if text or (category and (box or found.is_whole)):
            yield Opened(self._categories.get(category, "other" if category else "text"), category, box)
        if text:
            yield Text(text)

    def _box(self, values: Sequence[Value]) -> Box | None:
        numbers = [part for value in values for part in re.split(r"[\s,()]+", value.text) if part]
        if len(numbers) != 4 or not all(map(_NUMBER.fullmatch, numbers)):
            return None
        x1, y1, x2, y2 = map(float, numbers)
        return self._scale.to_page((x1, y1, x2, y2))

    def _report_said(self, problem: str, fields: Sequence[Field]) -> None:
        """Report all that these fields say, if it is anything."""
        said = [(each.name, ", ".join(_meaning(value) for value in each.values)) for each in fields]
        if parts := [f"{name}: {text}" if name and text else name or text for name, text in said if name or text]:
            self.problems.append(f"{problem}: {'; '.join(parts)!r}")


def _by_kind(found: JsonObject) -> tuple[Mapping[str, Sequence[Value]], list[Field]]:
    """The values of an object's fields by the names in FIELDS, and the fields that are none of these."""
    fields, cut = found.fields, found.cut
    if cut and fields[-1].name.lower() not in (*FIELDS["bbox"], *FIELDS["category"]):
        fields[-1].values.append(cut)  # half a text is worth having, half a category or number is none
    given = {each.name.lower() for each in fields if any(map(_meaning, each.values))}
    kinds = {next((name for name in names if name in given), kind): kind for kind, names in FIELDS.items()}
    values: dict[str, list[Value]] = {kind: [] for kind in FIELDS}
    rest: list[Field] = []
    for each in fields:
        kind = kinds.get(each.name.lower())
        if kind is None:
            rest.append(each)
        elif kind == "bbox":
            values[kind] = each.values  # of two boxes the last counts, as in JSON
        else:
            values[kind] += each.values
    return values, rest


def _is_scalar(value: Value) -> bool:
    return not value.quote and bool(_SCALAR.fullmatch(value.text))


def _meaning(value: Value, is_math: bool = False) -> str:
    """What a value says."""
    if not value.quote:
        return "" if value.text in _NOTHING else value.text
    inside = value.text
    if value.quote == "'":  # which Python escapes and JSON does not know
        inside = _ESCAPE.sub(lambda match: match[1] or "'", inside)
    return unescape(inside, is_math)
