"""What a caller wants of a document, checked against the tables. Knows no file and no engine."""

from dataclasses import dataclass
from typing import Any

from ocr.errors import InputError, choices
from ocr.lines.networks import CHECKPOINT
from ocr.models.catalog import MODELS
from ocr.models.tasks import (
    AUTO_PRESET,
    MARKDOWN,
    READ_REGION,
    RESOLUTIONS,
    TASKS,
    TASKS_THAT_READ,
    TASKS_THAT_TRANSCRIBE,
    TASKS_WITH_REFERENCE,
)
from ocr.reading.turning import AUTO, OFF, ORIENTS
from ocr.types import Prompt

TEXT_LAYERS = (OFF, AUTO)


@dataclass(frozen=True)
class Request:
    """What a caller wants of a document, checked against the tables when it is made."""

    model: str
    task: str = MARKDOWN
    reference: str = ""
    resolution: str = AUTO_PRESET  # of RESOLUTIONS; `Reader.settled` knows what this one stands for
    prompt: str = ""
    cut_long_pages: bool = True  # whether pages too long or too large to be read at once are read in parts
    orient: str = AUTO  # which way pages are turned before they are read, one of ORIENTS
    check: bool = False  # whether each page's answer is compared with a second reading of it
    text_layer: str = OFF  # whether pages whose file has their text, whole and sane, are taken from it: of TEXT_LAYERS

    def __post_init__(self) -> None:
        for name, value, table in (
            ("model", self.model, MODELS),
            ("task", self.task, TASKS),
            ("resolution", self.resolution, RESOLUTIONS),
            ("orient", self.orient, ORIENTS),
            ("text_layer", self.text_layer, TEXT_LAYERS),
        ):
            if value not in table:
                raise InputError(f"is {value!r}; it must be one of: {choices(table)}.", name)
        model = MODELS[self.model]
        presets = (AUTO_PRESET, *model.presets)
        if self.resolution not in presets:
            raise InputError(f"{self.model} takes no {self.resolution!r}; its presets are: {choices(presets)}.")
        if self.prompt.strip() and not model.own_prompt:
            raise InputError(f"{self.model} takes no prompt; its tasks are: {choices(model.tasks)}.")
        if not self.prompt.strip() and self.task not in model.tasks:
            raise InputError(f"{self.model} was not trained for {self.task!r}; its tasks are: {choices(model.tasks)}.")
        self._check_reference()
        if self.check and not self.can_be_checked:
            raise InputError(
                f"would have no effect here: it compares the print of a whole page with a second reading by "
                f"{CHECKPOINT}. It is for other models than that, and for {choices(map(repr, TASKS_THAT_TRANSCRIBE))}.",
                "check",
            )
        if self.text_layer != OFF and not self.can_be_layer:
            raise InputError(
                "would have no effect here: the text layer of a PDF contains only text. It is for "
                f"{choices(map(repr, MODELS[CHECKPOINT].tasks))}, and not for prompts.",
                "text_layer",
            )

    def _check_reference(self) -> None:
        wanted = TASKS_WITH_REFERENCE.get(self.task) if not self.prompt.strip() else None
        if wanted and not self.reference.strip():
            raise InputError(f"is empty; {self.task!r} needs it: {wanted}.", "reference")
        if not wanted and self.reference.strip():
            raise InputError(
                f"would have no effect here: it is for {choices(map(repr, TASKS_WITH_REFERENCE))}. Leave it empty.",
                "reference",
            )

    @property
    def asked(self) -> Prompt:
        """The prompt to use: the user's own where there is one, else the task's."""
        model = MODELS[self.model]
        return model.own_prompt if self.prompt.strip() and model.own_prompt else model.tasks[self.task]

    @property
    def reads_print(self) -> bool:
        """Whether the print on a page is what is asked for, so that a page can be read in parts."""
        return not self.prompt.strip() and self.task in TASKS_THAT_READ

    @property
    def depends_on_print(self) -> bool:
        """Whether the answer is that print, or is found by it."""
        return self.reads_print or (not self.prompt.strip() and self.task in TASKS_WITH_REFERENCE)

    @property
    def asks_for_region(self) -> bool:
        """Whether the user's words are a box on the page."""
        return not self.prompt.strip() and self.task == READ_REGION

    @property
    def can_be_checked(self) -> bool:
        """Whether a second reading can be compared with the answer: it is the page's print, and another model's."""
        return not self.prompt.strip() and self.task in TASKS_THAT_TRANSCRIBE and self.model != CHECKPOINT

    @property
    def can_be_layer(self) -> bool:
        """Whether lines of print with their places are all that an answer needs, as pp-ocr makes it."""
        return not self.prompt.strip() and self.task in MODELS[CHECKPOINT].tasks

    @property
    def wants_layers(self) -> bool:
        """Whether it helps to know what the file itself says of its pages."""
        return self.text_layer != OFF or self.check

    @property
    def preset(self) -> Any:
        """How the model looks at a page under the preset of a settled request; its own processor knows the meaning."""
        return MODELS[self.model].presets[self.resolution]

    @property
    def words(self) -> str:
        """The user's words that stand for {text} in that prompt."""
        return (self.prompt if self.prompt.strip() else self.reference).strip()
