"""What is asked of a document: a request's text, model name, options and token limit into the inputs of predict()."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from ocr.errors import choices
from ocr.faces.failures import INPUTS
from ocr.faces.gateway.refusals import Refusal, wrong
from ocr.models.catalog import AUTO, MODELS
from ocr.models.tasks import RESOLUTIONS, TASKS, TASKS_WITH_REFERENCE
from ocr.types import MAX_NEW_TOKENS

SUFFIXES: Mapping[str, str] = {name.split()[0].lower(): name for name in RESOLUTIONS}  # of model names: `:base`
NAMES = (AUTO, *MODELS)
OWN_FIELDS = frozenset({"image", "model", "max_new_tokens"})  # inputs that requests have fields of their own for
IMAGE = "<image>"  # stands in prompts where the page goes; people leave it out


def inputs_of(model: Any, text: str, options: Any = None, limit: Any = None) -> dict[str, Any]:
    """The inputs of predict() but for the image.

    `model` is a model's name, with or without a preset as suffix; `options` are ours under the names of predict()'s
    inputs, or short ones like `task`; `limit` is the most tokens of a page. The text selects a task by its name or by
    an exact prompt of the catalogue, is the reference of a task in the options that needs one, or else a prompt of its
    own. Raises Refusal for what cannot be, with OpenAI's `model_not_found` for an unknown model.
    """
    given = _options(options)
    told = _told(text.strip(), given.get("task_type", ""))
    for name in told.keys() & given.keys():
        if told[name] != given[name]:
            raise wrong(
                f"The text says {told[name][:100]!r}, and ocr.{name} something else. Leave one out.", f"ocr.{name}"
            )
    return {**_model(model), **given, **told, **_limit(limit)}


def _options(options: Any) -> dict[str, Any]:
    """Our own options by the names of predict()'s inputs, a task by its name in the table."""
    if not isinstance(options or {}, dict):
        raise wrong('must be an object, like {"task": "Free OCR"}.', "ocr")
    given = {INPUTS.get(name, name): value for name, value in (options or {}).items() if value is not None}
    if taken := OWN_FIELDS & given.keys():
        raise wrong("is no option: the request has a field of its own for it.", f"ocr.{min(taken)}")
    if isinstance(task := given.get("task_type"), str):
        given["task_type"] = named_task(task) or task  # what is none, the Cog server refuses in its own words
    return given


def _told(text: str, task: str) -> dict[str, str]:
    """What the user's text means, beside a task that the options name or do not."""
    if not text:
        return {}
    selected, reference = catalogued(text)
    if selected:
        return {"task_type": selected, **({"reference_text": reference} if reference else {})}
    if task in TASKS_WITH_REFERENCE:
        return {"reference_text": text}
    if task:
        raise wrong("The text is an instruction, and ocr.task is another one. Leave one out.", "ocr.task")
    return {"prompt": text}


def catalogued(text: str) -> tuple[str, str]:
    """The task that a text selects by its name or an exact prompt, and the user's words in that prompt; or nothing."""
    if task := named_task(text):
        return task, ""
    bare = text.removeprefix(IMAGE).strip()
    for task in TASKS:
        for card in MODELS.values():
            template = card.tasks[task].template if task in card.tasks else ""  # some models are given no words
            if template and (match := _pattern(template).fullmatch(bare)):
                return task, match.groupdict().get("text") or ""
    return "", ""


def named_task(name: str) -> str:
    """The task of this name, in whatever case; empty where there is none."""
    return next((task for task in TASKS if task.lower() == name.strip().lower()), "")


def _pattern(template: str) -> re.Pattern[str]:
    """What matches a prompt of the catalogue."""
    before, text, after = template.removeprefix(IMAGE).strip().partition("{text}")
    return re.compile(re.escape(before) + ("(?P<text>.+)" if text else "") + re.escape(after), re.DOTALL)


def _model(name: Any) -> dict[str, str]:
    """The inputs that a model's name decides: itself, and how closely it looks where a suffix says so."""
    base, colon, suffix = name.partition(":") if isinstance(name, str) else ("", "", "")
    if base not in NAMES:
        raise _no_model(f"The model {str(name)[:100]!r} does not exist; there are: {choices(NAMES)}.")
    if not colon:
        return {"model": base}
    if suffix.lower() not in SUFFIXES:
        raise _no_model(f"{suffix[:100]!r} is no preset; allowed after the colon: {choices(SUFFIXES)}.")
    return {"model": base, "resolution_size": SUFFIXES[suffix.lower()]}


def _no_model(message: str) -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, message, param="model", code="model_not_found")


def _limit(limit: Any) -> dict[str, int]:
    """The most tokens of a page; one above what a page can be given is as good as the highest."""
    if limit is None:
        return {}
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise wrong(f"The most tokens are {str(limit)[:100]}; they must be a whole number above 0.", "max_tokens")
    return {"max_new_tokens": min(limit, MAX_NEW_TOKENS)}
