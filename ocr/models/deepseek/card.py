"""What is known of DeepSeek-OCR and of the models of its kind without loading them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ocr.decoding.rules import NgramLimit
from ocr.models.card import Card
from ocr.models.deepseek.views import SquareViews
from ocr.models.tasks import (
    BASE,
    DESCRIBE,
    FREE_OCR,
    GUNDAM,
    LARGE,
    LOCATE,
    MARKDOWN,
    OCR_WITH_BOXES,
    PAGES_TOGETHER,
    PARSE_FIGURE,
    SMALL,
    TINY,
)
from ocr.types import Prompt, Together


@dataclass(frozen=True, kw_only=True)
class DeepSeekCard(Card):
    """One model of DeepSeek-OCR's kind."""

    model_type: str = "deepseek_vl_v2"  # in config.json
    has_window: bool = False  # whether it sees of its answer the last tokens alone, as many as config.json says
    has_newlines: bool = True  # whether a feature of its own ends each row of those it sees of a page


BOS, EOS, IMAGE = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<image>"

# The wording is the training contract: edit only with a new checkpoint.
_TASKS: Mapping[str, Prompt] = {
    MARKDOWN: Prompt("<image>\n<|grounding|>Convert the document to markdown.", dialect="grounded"),
    FREE_OCR: Prompt("<image>\nFree OCR.", dialect="unmarked"),
    PARSE_FIGURE: Prompt("<image>\nParse the figure."),
    LOCATE: Prompt("<image>\nLocate <|ref|>{text}<|/ref|> in the image.", dialect="grounded", lists_boxes=True),
    OCR_WITH_BOXES: Prompt("<image>\n<|grounding|>OCR this image.", dialect="grounded"),
    DESCRIBE: Prompt("<image>\nDescribe this image in detail."),
}

_PRESETS: Mapping[str, SquareViews] = {
    GUNDAM: SquareViews(base=1024, tile=640),
    TINY: SquareViews(base=512, padded=False),
    SMALL: SquareViews(base=640, padded=False),
    BASE: SquareViews(base=1024),
    LARGE: SquareViews(base=1280),
}

DEEPSEEK_OCR = DeepSeekCard(
    engine="ocr.models.deepseek.engine",
    tasks=_TASKS,
    own_prompt=Prompt("<image>\n{text}", dialect="grounded"),
    presets=_PRESETS,
    end_tokens=(EOS,),
    ngram_limit=NgramLimit(n=30, window=90, whitelist=("<td>", "</td>")),  # the makers' vLLM recipe
    replacements={"\\coloneqq": ":=", "\\eqqcolon": "=:"},  # commands that most renderers' LaTeX lacks
    licence="MIT",
    languages="about 100, Chinese and English above all",
)

_LAYOUT, _FREE = _TASKS[MARKDOWN], _TASKS[FREE_OCR]  # all that its makers name
DEEPSEEK_OCR_2 = replace(
    DEEPSEEK_OCR,
    engine="ocr.models.deepseek.engine_2",
    has_newlines=False,
    tasks={
        MARKDOWN: _LAYOUT,
        FREE_OCR: _FREE,
        LOCATE: replace(_LAYOUT, lists_boxes=True, selects=True),
        OCR_WITH_BOXES: _LAYOUT,
    },
    presets={GUNDAM: SquareViews(base=1024, tile=768, most_tiles=6), BASE: SquareViews(base=1024)},
    # That of the makers' script for one page, run_dpsk_ocr2_image.py; for documents it looks 50 tokens back, not 90.
    ngram_limit=NgramLimit(n=20, window=90, whitelist=("<td>", "</td>")),
    licence="Apache-2.0",
    languages="Chinese and English above all",
)

_PARSING = Prompt("<image>document parsing.", dialect="grounded_blocks")
# As infer_multi() asks in a port of the makers' modeling_unlimitedocr.py, except that it puts all pages of a document
# into one prompt. Of its context, 32,768 tokens, 8 pages have about 3,800 each for their text: a dense one takes 2,000.
_TOGETHER = Together(
    prompt=Prompt("<image>Multi page parsing.", dialect="grounded_blocks", ngram_window=1024),
    preset=SquareViews(base=1024),
    mark="<PAGE>",
    most=8,
)
UNLIMITED_OCR = replace(
    DEEPSEEK_OCR,
    model_type="unlimited-ocr",
    has_window=True,
    tasks={
        MARKDOWN: _PARSING,
        LOCATE: replace(_PARSING, lists_boxes=True, selects=True),
        OCR_WITH_BOXES: _PARSING,
        PAGES_TOGETHER: replace(_PARSING, together=_TOGETHER),
    },
    own_prompt=Prompt("<image>{text}", dialect="grounded_blocks"),
    presets={GUNDAM: SquareViews(base=1024, tile=640, most_tiles=32), BASE: SquareViews(base=1024)},
    ngram_limit=NgramLimit(n=35, window=128),
    languages="Chinese and English above all",
)

# It has seen pages in one square of 640 px and nothing else: no page needs tiles to be looked at as closely as it can.
DEEPSEEK_OCR_TINY = replace(
    DEEPSEEK_OCR,
    tasks={task: _TASKS[task] for task in (MARKDOWN, FREE_OCR, LOCATE, OCR_WITH_BOXES)},
    own_prompt=None,
    checks_cheaply=False,
    presets={GUNDAM: _PRESETS[SMALL], SMALL: _PRESETS[SMALL]},
    demo_of="deepseek-ocr",
    dtype="float32",  # in bfloat16 it misreads numbers that stand in columns
    languages="plain Latin letters, large print",
)
