"""What is known of dots.ocr and dots.mocr without loading them."""

from collections.abc import Mapping
from dataclasses import replace

from ocr.engines.prompts import Frame
from ocr.models.card import Card
from ocr.models.tasks import (
    BASE,
    DESCRIBE,
    DETECT_LAYOUT,
    FREE_OCR,
    GUNDAM,
    IMAGE_TO_SVG,
    LARGE,
    LOCATE,
    MARKDOWN,
    OCR_WITH_BOXES,
    PARSE_WEB_PAGE,
    READ_REGION,
    SMALL,
    SPOT_TEXT,
    TINY,
)
from ocr.types import Prompt, Sampling

IMAGE = "<|imgpad|>"  # stands once for each image token
FRAME = Frame(
    before=f"<|user|><|img|>{IMAGE}<|endofimg|>",
    after="<|endofuser|><|assistant|>",
    # Ordinary text to the tokenizer; a line of its own before the rest.
    before_system="<|system|>",
    after_system="<|endofsystem|>\n",
)
FRAME_TOKENS = ("<|user|>", "<|img|>", IMAGE, "<|endofimg|>", "<|endofuser|>", "<|assistant|>")

# The wording is the training contract: edit only with a new checkpoint.
_LAYOUT = Prompt(
    "Please output the layout information from the PDF image, including each layout element's bbox, its category, and "
    "the corresponding text content within the bbox.\n\n"
    "1. Bbox format: [x1, y1, x2, y2]\n\n"
    "2. Layout Categories: The possible categories are ['Caption', 'Footnote', 'Formula', 'List-item', 'Page-footer', "
    "'Page-header', 'Picture', 'Section-header', 'Table', 'Text', 'Title'].\n\n"
    "3. Text Extraction & Formatting Rules:\n"
    "    - Picture: For the 'Picture' category, the text field should be omitted.\n"
    "    - Formula: Format its text as LaTeX.\n"
    "    - Table: Format its text as HTML.\n"
    "    - All Others (Text, Title, etc.): Format their text as Markdown.\n\n"
    "4. Constraints:\n"
    "    - The output text must be the original text from the image, with no translation.\n"
    "    - All layout elements must be sorted according to human reading order.\n\n"
    "5. Final Output: The entire output must be a single JSON object.\n",
    dialect="layout_json",
)
_DOTS_OCR_TASKS: Mapping[str, Prompt] = {
    MARKDOWN: _LAYOUT,
    FREE_OCR: Prompt("Extract the text content from this image."),
    LOCATE: replace(_LAYOUT, lists_boxes=True, selects=True),
    OCR_WITH_BOXES: _LAYOUT,
    DETECT_LAYOUT: Prompt(
        "Please output the layout information from this PDF image, including each layout's bbox and its category. The "
        "bbox should be in the format [x1, y1, x2, y2]. The layout categories for the PDF document include ['Caption', "
        "'Footnote', 'Formula', 'List-item', 'Page-footer', 'Page-header', 'Picture', 'Section-header', 'Table', "
        "'Text', 'Title']. Do not output the corresponding text. The layout result should be in JSON format.",
        dialect="layout_json",
        lists_boxes=True,
    ),
    READ_REGION: Prompt(
        "Extract text from the given bounding box on the image (format: [x1, y1, x2, y2]).\nBounding Box:\n{region}"
    ),
}
_SYSTEM = "You are a helpful assistant."  # dots.mocr's makers give it with free prompts and with no other
_DOTS_MOCR_TASKS: Mapping[str, Prompt] = {
    **_DOTS_OCR_TASKS,
    DESCRIBE: Prompt("Please describe the content of this image.", system=_SYSTEM),
    PARSE_WEB_PAGE: Prompt("Parsing the layout info of this webpage image with format json:\n", dialect="layout_json"),
    SPOT_TEXT: Prompt("Detect and recognize the text in the image.", dialect="scene_text", lists_boxes=True),
    IMAGE_TO_SVG: Prompt(
        'Please generate the SVG code based on the image.viewBox="0 0 {width} {height}"',
        sampling=Sampling(temperature=0.9),  # below it the makers saw drawings that repeat themselves
    ),
}

# px, area that the model sees of a page at most; None for its own limit.
_PRESETS: Mapping[str, int | None] = {
    GUNDAM: None,
    TINY: 512 * 512,
    SMALL: 640 * 640,
    BASE: 1024 * 1024,
    LARGE: 1280 * 1280,
}

DOTS_OCR = Card(
    engine="ocr.models.dots.engine",
    tasks=_DOTS_OCR_TASKS,
    own_prompt=Prompt("{text}"),
    presets=_PRESETS,
    cpu_preset=SMALL,
    end_tokens=("<|endoftext|>", "<|assistant|>", "<|endofassistant|>"),
    repeats_elements=True,
    licence="MIT + supplement",
    languages="about 100",
)
DOTS_MOCR = replace(DOTS_OCR, tasks=_DOTS_MOCR_TASKS, own_prompt=Prompt("{text}", system=_SYSTEM))
