"""The tables: models, tasks with their prompts, presets. Data alone; what it takes to run them is elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ocr.types import Prompt, Resolution

RESOLUTIONS: Mapping[str, Resolution] = {
    "Gundam (Recommended)": Resolution(base=1024, tile=640, tiled=True),
    "Tiny": Resolution(base=512, tile=512, padded=False, max_pixels=512 * 512),
    "Small": Resolution(base=640, tile=640, padded=False, max_pixels=640 * 640),
    "Base": Resolution(base=1024, tile=1024, max_pixels=1024 * 1024),
    "Large": Resolution(base=1280, tile=1280, max_pixels=1280 * 1280),
}
DEFAULT_RESOLUTION = "Gundam (Recommended)"

MARKDOWN = "Convert to Markdown"
FREE_OCR = "Free OCR"
PARSE_FIGURE = "Parse Figure"
LOCATE = "Locate Object by Reference"
OCR_WITH_BOXES = "OCR with Boxes"
DESCRIBE = "Describe Image"
DETECT_LAYOUT = "Detect Layout"
READ_REGION = "Read Region"
PARSE_WEB_PAGE = "Parse Web Page"
SPOT_TEXT = "Spot Scene Text"
IMAGE_TO_SVG = "Image to SVG"

# Tasks that mean nothing without the user's words, and what those words are.
TASKS_WITH_REFERENCE: Mapping[str, str] = {
    LOCATE: "what to locate on the page",
    READ_REGION: "the box to read, as x1,y1,x2,y2 in pixels of the page",
}


@dataclass(frozen=True)
class Model:
    """One model: which engine runs it, and what it is asked for each task it was trained on."""

    engine: str  # the module that has load(folder, settings) -> Engine
    tasks: Mapping[str, Prompt]
    own_prompt: Prompt | None = None  # the frame around a prompt of the user's own; None: it knows its tasks alone
    resolutions: Mapping[str, Resolution] = field(default_factory=lambda: RESOLUTIONS)  # the presets that it takes
    replacements: Mapping[str, str] = field(default_factory=dict)  # made in its markdown, as its makers do


# The wording is the training contract: edit only with a new checkpoint.
_DEEPSEEK_TASKS: Mapping[str, Prompt] = {
    MARKDOWN: Prompt("<image>\n<|grounding|>Convert the document to markdown.", layout="grounded"),
    FREE_OCR: Prompt("<image>\nFree OCR."),
    PARSE_FIGURE: Prompt("<image>\nParse the figure."),
    LOCATE: Prompt("<image>\nLocate <|ref|>{text}<|/ref|> in the image.", layout="grounded", lists_boxes=True),
    OCR_WITH_BOXES: Prompt("<image>\n<|grounding|>OCR this image.", layout="grounded"),
    DESCRIBE: Prompt("<image>\nDescribe this image in detail."),
}

# Commands that most renderers' LaTeX lacks.
_DEEPSEEK_REPLACEMENTS: Mapping[str, str] = {"\\coloneqq": ":=", "\\eqqcolon": "=:"}

_DOTS_LAYOUT = Prompt(
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
    layout="layout_json",
)
_DOTS_TASKS: Mapping[str, Prompt] = {
    MARKDOWN: _DOTS_LAYOUT,
    FREE_OCR: Prompt("Extract the text content from this image."),
    LOCATE: replace(_DOTS_LAYOUT, lists_boxes=True, selects=True),
    OCR_WITH_BOXES: _DOTS_LAYOUT,
    DETECT_LAYOUT: Prompt(
        "Please output the layout information from this PDF image, including each layout's bbox and its category. The "
        "bbox should be in the format [x1, y1, x2, y2]. The layout categories for the PDF document include ['Caption', "
        "'Footnote', 'Formula', 'List-item', 'Page-footer', 'Page-header', 'Picture', 'Section-header', 'Table', "
        "'Text', 'Title']. Do not output the corresponding text. The layout result should be in JSON format.",
        layout="layout_json",
        lists_boxes=True,
    ),
    READ_REGION: Prompt(
        "Extract text from the given bounding box on the image (format: [x1, y1, x2, y2]).\nBounding Box:\n{region}"
    ),
}
_DOTS_SYSTEM = "You are a helpful assistant."  # dots.mocr's makers give it with free prompts and with no other
_MOCR_TASKS: Mapping[str, Prompt] = {
    **_DOTS_TASKS,
    DESCRIBE: Prompt("Please describe the content of this image.", system=_DOTS_SYSTEM),
    PARSE_WEB_PAGE: Prompt("Parsing the layout info of this webpage image with format json:\n", layout="layout_json"),
    SPOT_TEXT: Prompt("Detect and recognize the text in the image.", layout="scene_text", lists_boxes=True),
    IMAGE_TO_SVG: Prompt(
        'Please generate the SVG code based on the image.viewBox="0 0 {width} {height}"',
        temperature=0.9,  # below it the makers saw drawings that repeat themselves
    ),
}

# The embedded model has seen pages in one square of 640 px and nothing else: a page needs no tiles to be looked at as
# closely as this model can.
_EMBEDDED_RESOLUTIONS: Mapping[str, Resolution] = {
    DEFAULT_RESOLUTION: RESOLUTIONS["Small"],
    "Small": RESOLUTIONS["Small"],
}

MODELS: Mapping[str, Model] = {
    "deepseek-ocr": Model(
        engine="ocr.models.deepseek.engine",
        tasks=_DEEPSEEK_TASKS,
        own_prompt=Prompt("<image>\n{text}", layout="grounded"),
        replacements=_DEEPSEEK_REPLACEMENTS,
    ),
    "dots.ocr": Model(engine="ocr.models.dots.engine", tasks=_DOTS_TASKS, own_prompt=Prompt("{text}")),
    "dots.mocr": Model(
        engine="ocr.models.dots.engine", tasks=_MOCR_TASKS, own_prompt=Prompt("{text}", system=_DOTS_SYSTEM)
    ),
    # Last, so that `auto` takes it only where there is no other.
    "deepseek-ocr-tiny": Model(
        engine="ocr.models.deepseek.engine",
        tasks={task: _DEEPSEEK_TASKS[task] for task in (MARKDOWN, FREE_OCR, LOCATE, OCR_WITH_BOXES)},
        resolutions=_EMBEDDED_RESOLUTIONS,
        replacements=_DEEPSEEK_REPLACEMENTS,
    ),
}
AUTO = "auto"  # in place of a model's name: the first one this installation serves

TASKS: tuple[str, ...] = tuple(dict.fromkeys(task for model in MODELS.values() for task in model.tasks))
