"""How this copy of the project came here, as a checkout or as a package, and what to type accordingly."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[2]
_DATA = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
IS_CHECKOUT = (_PROJECT / "weights.py").is_file()

# Where checkpoints are unless OCR_CHECKPOINTS says otherwise; never among the packages of an environment.
CHECKPOINTS = _PROJECT / "checkpoints" if IS_CHECKOUT else _DATA / "ocr-pages" / "checkpoints"
HAS_SCRIPTS = (_PROJECT / "script" / "ocr").is_file()  # an image has none; there everything is installed
# The command of the weights, which works without the virtual environment's being active.
WEIGHTS = "script/ocr weights" if HAS_SCRIPTS else "python weights.py" if IS_CHECKOUT else "ocr weights"
INSTALL = (  # the command that brings the libraries of all models
    ".venv/bin/python -m pip install -r requirements-cpu.txt" if IS_CHECKOUT else "pip install 'ocr-pages[models]'"
)
INSTALL_RAY = (  # the command that brings what reading on several machines takes
    ".venv/bin/python -m pip install -r requirements-ray.txt" if IS_CHECKOUT else "pip install 'ocr-pages[ray]'"
)


def called(words: list[str] = sys.argv, environment: Mapping[str, str] = os.environ) -> str:
    """What was typed to start the command line: `script/ocr`, a link to it, `ocr` of a package, `python -m ocr`."""
    if by_script := environment.get("OCR_CALLED"):
        return by_script
    name = Path(words[0]).name
    return name if name.startswith("ocr") else "python -m ocr"
