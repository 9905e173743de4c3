"""A prompt's wording, with the user's words in it and what stands around it. Knows no model."""

from collections.abc import Sequence
from dataclasses import dataclass

from ocr.errors import InputError
from ocr.types import Prompt


@dataclass(frozen=True)
class Frame:
    """What a model was trained to have around the wording of its prompts; its image token stands in it once."""

    before: str
    after: str
    before_system: str = ""  # around what a system message says, where a prompt has one; it comes first of all
    after_system: str = ""

    def around(self, wording: str, system: str = "") -> str:
        """The whole text of a prompt."""
        message = f"{self.before_system}{system}{self.after_system}" if system else ""
        return f"{message}{self.before}{wording}{self.after}"


def fill(prompt: Prompt, words: str, reserved: Sequence[str]) -> str:
    """The prompt with the user's words in it. Raises InputError for words that hold one of the model's own tokens."""
    smuggled = [token for token in reserved if token in words]
    if smuggled:
        raise InputError(
            f"The text {words[:80]!r} holds {', '.join(map(repr, smuggled))}, which has a meaning of its own to the "
            "model; write it without."
        )
    return prompt.template.replace("{text}", words)
