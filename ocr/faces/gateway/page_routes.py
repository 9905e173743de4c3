"""The web page at `/`: a few files of the package, and the choices that it offers."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse

from ocr.faces.gateway.asking import NAMES, SUFFIXES
from ocr.faces.gateway.refusals import Refusal
from ocr.models.tasks import AUTO_PRESET, TASKS

FOLDER = Path(__file__).parent / "page"
SCRIPTS = ("page.js", "sheet.js", "text.js", "formula.js")
PARTS: Mapping[str, str] = {"page.css": "text/css", **dict.fromkeys(SCRIPTS, "text/javascript")}
# Nothing but the page's own files is loaded, and nothing that stands in a document can run.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def index(_request: Request) -> FileResponse:
    """The page."""
    return FileResponse(FOLDER / "index.html", media_type="text/html", headers={"Content-Security-Policy": POLICY})


async def part(request: Request) -> FileResponse:
    """Its style or one of its scripts."""
    name = request.path_params["name"]
    if name not in PARTS:
        raise Refusal(HTTPStatus.NOT_FOUND, f"The page has no part {name[:100]!r}.")
    return FileResponse(FOLDER / name, media_type=PARTS[name])


async def choices(_request: Request) -> JSONResponse:
    """What may be chosen, by the names of the page's fields: values, and how they read."""
    presets = [("" if name == AUTO_PRESET else suffix, name) for suffix, name in SUFFIXES.items()]
    body = {"task": [(task, task) for task in TASKS], "model": [(name, name) for name in NAMES], "preset": presets}
    return JSONResponse(body)
