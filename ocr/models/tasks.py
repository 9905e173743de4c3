"""What can be asked of models, and how closely they can be told to look: the names that callers use."""

from collections.abc import Mapping

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
PARSE_LAYOUT = "Parse Layout"
PAGES_TOGETHER = "Convert Pages Together"

# Tasks that mean nothing without the user's words, and what those words are.
TASKS_WITH_REFERENCE: Mapping[str, str] = {
    LOCATE: "what to locate on the page",
    READ_REGION: "the box to read, as x1,y1,x2,y2 in pixels of the page",
}
TASKS = (
    MARKDOWN,
    FREE_OCR,
    PARSE_FIGURE,
    LOCATE,
    OCR_WITH_BOXES,
    DESCRIBE,
    DETECT_LAYOUT,
    READ_REGION,
    PARSE_WEB_PAGE,
    SPOT_TEXT,
    IMAGE_TO_SVG,
    PARSE_LAYOUT,
    PAGES_TOGETHER,
)
# Tasks that read print: of a page in parts their answer is that of the parts, one after the other. The others are about
# a picture as a whole.
TASKS_THAT_READ = (
    MARKDOWN,
    FREE_OCR,
    OCR_WITH_BOXES,
    DETECT_LAYOUT,
    PARSE_WEB_PAGE,
    SPOT_TEXT,
    PARSE_LAYOUT,
    PAGES_TOGETHER,
)
TASKS_THAT_TRANSCRIBE = tuple(task for task in TASKS_THAT_READ if task != DETECT_LAYOUT)  # their answer is that print

GUNDAM, TINY, SMALL, BASE, LARGE = PRESETS = ("Gundam (Recommended)", "Tiny", "Small", "Base", "Large")
AUTO_PRESET = "Auto"  # the one of them that suits the machine: `Card.auto`
RESOLUTIONS = (AUTO_PRESET, *PRESETS)  # what callers choose from
