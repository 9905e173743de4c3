"""The tables: models, tasks with their prompts, presets. Data alone; what it takes to run them is elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ocr.errors import InputError, choices
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


# The wording is the training contract: edit only with a new checkpoint.
_DEEPSEEK_TASKS: Mapping[str, Prompt] = {
    MARKDOWN: Prompt("<image>\n<|grounding|>Convert the document to markdown.", layout="grounded"),
    FREE_OCR: Prompt("<image>\nFree OCR."),
    PARSE_FIGURE: Prompt("<image>\nParse the figure."),
    LOCATE: Prompt("<image>\nLocate <|ref|>{text}<|/ref|> in the image.", layout="grounded", lists_boxes=True),
    OCR_WITH_BOXES: Prompt("<image>\n<|grounding|>OCR this image.", layout="grounded"),
    DESCRIBE: Prompt("<image>\nDescribe this image in detail."),
}

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
    ),
}
AUTO = "auto"  # in place of a model's name: the first one this installation serves

TASKS: tuple[str, ...] = tuple(dict.fromkeys(task for model in MODELS.values() for task in model.tasks))


@dataclass(frozen=True)
class Request:
    """What a caller wants of a document, checked against the tables when it is made."""

    model: str
    task: str = MARKDOWN
    reference_text: str = ""
    resolution: str = DEFAULT_RESOLUTION
    prompt: str = ""

    def __post_init__(self) -> None:
        for name, value, table in (
            ("model", self.model, MODELS),
            ("task_type", self.task, TASKS),
            ("resolution_size", self.resolution, RESOLUTIONS),
        ):
            if value not in table:
                raise InputError(f"{name} is {value!r}; it must be one of: {choices(table)}.")
        model = MODELS[self.model]
        if self.resolution not in model.resolutions:
            raise InputError(
                f"{self.model} takes no {self.resolution!r}; its presets are: {choices(model.resolutions)}."
            )
        if self.prompt.strip() and not model.own_prompt:
            raise InputError(f"{self.model} takes no prompt; its tasks are: {choices(model.tasks)}.")
        if not self.prompt.strip() and self.task not in model.tasks:
            raise InputError(f"{self.model} was not trained for {self.task!r}; its tasks are: {choices(model.tasks)}.")
        self._check_reference()

    def _check_reference(self) -> None:
        wanted = TASKS_WITH_REFERENCE.get(self.task) if not self.prompt.strip() else None
        if wanted and not self.reference_text.strip():
            raise InputError(f"{self.task!r} needs reference_text: {wanted}.")
        if not wanted and self.reference_text.strip():
            raise InputError(
                f"reference_text is only for {choices(map(repr, TASKS_WITH_REFERENCE))} and would have no effect here; "
                "leave it empty."
            )

    @property
    def asked(self) -> Prompt:
        """The prompt to use: the user's own where there is one, else the task's."""
        model = MODELS[self.model]
        return model.own_prompt if self.prompt.strip() and model.own_prompt else model.tasks[self.task]

    @property
    def view(self) -> Resolution:
        """How the model looks at a page under the preset that was asked for."""
        return MODELS[self.model].resolutions[self.resolution]

    @property
    def words(self) -> str:
        """The user's words that stand for {text} in that prompt."""
        return (self.prompt if self.prompt.strip() else self.reference_text).strip()


def fill(prompt: Prompt, words: str, reserved: Sequence[str]) -> str:
    """The prompt with the user's words in it. Raises InputError for words that hold one of the model's own tokens."""
    smuggled = [token for token in reserved if token in words]
    if smuggled:
        raise InputError(
            f"The text {words[:80]!r} holds {', '.join(map(repr, smuggled))}, which has a meaning of its own to the "
            "model; write it without."
        )
    return prompt.template.replace("{text}", words)
