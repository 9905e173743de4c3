"""What is known of the models of a patch grid without loading them: rows that differ in their words and numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ocr.engines.prompts import Frame
from ocr.models.card import Card
from ocr.models.patch_grid import family as families
from ocr.models.tasks import (
    BASE,
    DESCRIBE,
    DETECT_LAYOUT,
    FREE_OCR,
    GUNDAM,
    LARGE,
    LOCATE,
    MARKDOWN,
    OCR_WITH_BOXES,
    PARSE_FIGURE,
    PARSE_LAYOUT,
    SMALL,
    SPOT_TEXT,
    TINY,
)
from ocr.types import Prompt, Sampling


@dataclass(frozen=True)
class Look:
    """A preset of this kind: how large the model sees a page."""

    area: int | None = None  # px at most; None for the checkpoint's own limit
    side: int | None = None  # px, to which the longer side is brought first; None leaves it


@dataclass(frozen=True)
class Closer:
    """How a model looks closer for one prompt."""

    area: int  # px, the limit in place of the checkpoint's
    doubled_below: int  # px; a page whose sides are both shorter is first doubled


@dataclass(frozen=True, kw_only=True)
class GridCard(Card):
    """One model of a patch grid."""

    family: families.Family
    image: str  # the token that stands once for each image token
    frame: Frame  # around the wording of every prompt
    extent: tuple[float, float] | None = None  # over which boxes run; None: over the pixels that the model sees
    limits: Mapping[str, int] = field(default_factory=dict)  # of the area, where the makers run with others
    closer: Mapping[str, Closer] = field(default_factory=dict)  # by the templates of prompts
    other_frames: Mapping[str, Frame] = field(default_factory=dict)  # by what their chat templates hold
    answers_in_tokens: bool = False  # whether special tokens are part of an answer


_ANY_SIZE: Mapping[str, Look] = {
    GUNDAM: Look(),
    TINY: Look(area=512 * 512),
    SMALL: Look(area=640 * 640),
    BASE: Look(area=1024 * 1024),
    LARGE: Look(area=1280 * 1280),
}
_QWEN_IMAGE = "<|image_pad|>"
_SEEN = f"<|vision_start|>{_QWEN_IMAGE}<|vision_end|>"
_QWEN_FRAME = Frame(
    before=f"<|im_start|>user\n{_SEEN}",
    after="<|im_end|>\n<|im_start|>assistant\n",
    before_system="<|im_start|>system\n",
    after_system="<|im_end|>\n",
)
_SYSTEM = "You are a helpful assistant."  # what the chat template of Qwen2.5-VL says where nobody says anything

# The wording is the training contract: edit only with a new checkpoint.
_SPOT = Prompt("Spotting all the text in the image with line-level, and output in JSON format.", dialect="spotted_json")
_QWEN3_TASKS: Mapping[str, Prompt] = {
    MARKDOWN: Prompt("qwenvl html", dialect="boxed_html"),
    FREE_OCR: Prompt("Read all the text in the image."),
    LOCATE: replace(_SPOT, lists_boxes=True, selects=True),
    OCR_WITH_BOXES: _SPOT,
    DESCRIBE: Prompt("Describe this image."),
    SPOT_TEXT: replace(_SPOT, lists_boxes=True),
}
_QWEN2_5_TASKS: Mapping[str, Prompt] = {
    **{task: replace(prompt, system=_SYSTEM) for task, prompt in _QWEN3_TASKS.items()},
    MARKDOWN: Prompt(
        "QwenVL HTML",
        dialect="boxed_html",
        system="You are an AI specialized in recognizing and extracting text from images. Your mission is to analyze "
        "the image document and generate the result in QwenVL Document Parser HTML format using specified tags while "
        "maintaining user privacy and data integrity.",
    ),
}

QWEN3_VL_4B = GridCard(
    engine="ocr.models.patch_grid.engine",
    family=families.QWEN3_VL,
    image=_QWEN_IMAGE,
    frame=_QWEN_FRAME,
    extent=(1000.0, 1000.0),
    tasks=_QWEN3_TASKS,
    own_prompt=Prompt("{text}"),
    presets=_ANY_SIZE,
    cpu_preset=BASE,
    end_tokens=("<|im_end|>", "<|endoftext|>"),
    licence="Apache-2.0",
    languages="32",
)
QWEN2_5_VL_7B = replace(
    QWEN3_VL_4B,
    family=families.QWEN2_5_VL,
    extent=None,
    tasks=_QWEN2_5_TASKS,
    own_prompt=Prompt("{text}", system=_SYSTEM),
    languages="European, Chinese, Japanese, Korean, Arabic",
)
OLMOCR_2 = replace(
    QWEN2_5_VL_7B,
    frame=replace(
        _QWEN_FRAME, before="<|im_start|>user\n", after=f"{_SEEN}<|im_end|>\n<|im_start|>assistant\n"
    ),  # the words stand before the page
    tasks={
        MARKDOWN: Prompt(
            "Attached is one page of a document that you must process. Just return the plain text representation of "
            "this document as if you were reading it naturally. Convert equations to LateX and tables to HTML.\n"
            "If there are any figures or charts, label them with the following markdown syntax ![Alt text describing "
            "the contents of the figure](page_startx_starty_width_height.png)\n"
            "Return your output as markdown, with a front matter section on top specifying values for the "
            "primary_language, is_rotation_valid, rotation_correction, is_table, and is_diagram parameters.",
            dialect="front_matter",
            system=_SYSTEM,
            sampling=Sampling(temperature=0.1),
        ),
    },
    own_prompt=None,
    presets={GUNDAM: Look(side=1288)},  # what it was trained on
    cpu_preset=GUNDAM,
    languages="English above all",
)
FIRERED_OCR = replace(
    QWEN3_VL_4B,
    tasks={
        MARKDOWN: Prompt(
            "You are an AI assistant specialized in converting PDF images to Markdown format. Please follow these "
            "instructions for the conversion:\n\n"
            "1. Text Processing:\n"
            "- Accurately recognize all text content in the PDF image without guessing or inferring.\n"
            "- Convert the recognized text into Markdown format.\n"
            "- Maintain the original document structure, including headings, paragraphs, lists, etc.\n\n"
            "2. Mathematical Formula Processing:\n"
            "- Convert all mathematical formulas to LaTeX format.\n"
            "- Enclose inline formulas with \\( \\). For example: This is an inline formula \\( E = mc^2 \\)\n"
            "- Enclose block formulas with \\[ \\]. For example: \\[ \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a} \\]\n\n"
            "3. Table Processing:\n"
            "- Convert tables to HTML format.\n"
            "- Wrap the entire table with <table> and </table>.\n\n"
            "4. Figure Handling:\n"
            "- Ignore figures content in the PDF image. Do not attempt to describe or convert images.\n\n"
            "5. Output Format:\n"
            "- Ensure the output Markdown document has a clear structure with appropriate line breaks between "
            "elements.\n"
            "- For complex layouts, try to maintain the original document's structure and format as closely as "
            "possible.\n\n"
            "Please strictly follow these guidelines to ensure accuracy and consistency in the conversion. Your task "
            "is to accurately convert the content of the PDF image into Markdown format without adding any extra "
            "explanations or comments.",
        ),
    },
    own_prompt=None,
    languages="Chinese, English",
)
OVISOCR2 = replace(
    QWEN3_VL_4B,
    family=families.QWEN3_5,
    frame=replace(_QWEN_FRAME, after=f"{_QWEN_FRAME.after}<think>\n\n</think>\n\n"),
    limits={"min_pixels": 448 * 448, "max_pixels": 2880 * 2880},  # which its makers run it with
    cpu_preset=LARGE,
    tasks={
        MARKDOWN: Prompt(
            "\nExtract all readable content from the image in natural human reading order and output the result as a "
            "single Markdown document. For charts or images, represent them using an HTML image tag: "
            '<img src="images/bbox_{left}_{top}_{right}_{bottom}.jpg" />, where left, top, right, bottom are bounding '
            "box coordinates scaled to [0, 1000). Format formulas as LaTeX. Format tables as HTML: "
            "<table>...</table>. Transcribe all other text as standard Markdown. Preserve the original text without "
            "translation or paraphrasing.",
            dialect="boxed_images",
        ),
    },
    own_prompt=None,
    languages="not said",
)


def _by_regions(**asked: Prompt) -> Mapping[str, Prompt]:
    """The tasks of a model that reads regions one by one, by what it is asked of them (`ocr.models.layout.labels`)."""
    return {PARSE_LAYOUT: Prompt("", regions=asked), DETECT_LAYOUT: Prompt("", regions={}, lists_boxes=True)}


_PADDLE_IMAGE = "<|IMAGE_PLACEHOLDER|>"
_PADDLE_FRAME = Frame(
    before=f"<|begin_of_sentence|>User: <|IMAGE_START|>{_PADDLE_IMAGE}<|IMAGE_END|>",
    after="\nAssistant:\n",
)
_PADDLE_SPOT = Prompt("Spotting:", dialect="located_lines")
PADDLEOCR_VL = GridCard(
    engine="ocr.models.patch_grid.engine",
    family=families.PADDLEOCR_VL,
    image=_PADDLE_IMAGE,
    frame=_PADDLE_FRAME,
    other_frames={"Assistant: ": replace(_PADDLE_FRAME, after="\nAssistant: ")},  # older revisions
    extent=(1000.0, 1000.0),
    closer={_PADDLE_SPOT.template: Closer(area=2048 * 28 * 28, doubled_below=1500)},
    answers_in_tokens=True,
    tasks={
        MARKDOWN: Prompt("OCR:"),
        FREE_OCR: Prompt("OCR:"),
        PARSE_FIGURE: Prompt("Chart Recognition:"),
        LOCATE: replace(_PADDLE_SPOT, lists_boxes=True, selects=True),
        OCR_WITH_BOXES: _PADDLE_SPOT,
        SPOT_TEXT: replace(_PADDLE_SPOT, lists_boxes=True),
        **_by_regions(
            text=Prompt("OCR:"),
            table=Prompt("Table Recognition:", dialect="otsl"),
            formula=Prompt("Formula Recognition:"),
        ),
    },
    own_prompt=Prompt("{text}", dialect="otsl"),  # such as Table Recognition:, Formula Recognition:
    presets=_ANY_SIZE,
    end_tokens=("</s>", "<|end_of_sentence|>"),
    licence="Apache-2.0",
    languages="109",
)
_GLM_IMAGE = "<|image|>"
_GLM_SAMPLING = Sampling(repetition_penalty=1.1)  # the makers' own
GLM_OCR = GridCard(
    engine="ocr.models.patch_grid.engine",
    family=families.GLM_OCR,
    image=_GLM_IMAGE,
    frame=Frame(
        before=f"[gMASK]<sop><|user|>\n<|begin_of_image|>{_GLM_IMAGE}<|end_of_image|>", after="<|assistant|>\n"
    ),
    tasks={
        MARKDOWN: Prompt("Text Recognition:", sampling=_GLM_SAMPLING),
        FREE_OCR: Prompt("Text Recognition:", sampling=_GLM_SAMPLING),
        **_by_regions(
            text=Prompt("Text Recognition:", sampling=_GLM_SAMPLING),
            table=Prompt("Table Recognition:", sampling=_GLM_SAMPLING),
            formula=Prompt("Formula Recognition:", sampling=_GLM_SAMPLING),
            seal=Prompt("Text Recognition:", sampling=_GLM_SAMPLING),
        ),
    },
    own_prompt=Prompt("{text}", sampling=_GLM_SAMPLING),  # such as Table Recognition:, Formula Recognition:
    presets=_ANY_SIZE,
    cpu_preset=BASE,
    end_tokens=("<|user|>", "<|endoftext|>"),
    licence="MIT",
    languages="Chinese, English, French, Spanish, Russian, German, Japanese, Korean",
)
