"""How this copy of the project came here, as a checkout or as a package, and what to type accordingly."""

import os
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[2]
_DATA = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
IS_CHECKOUT = (_PROJECT / "weights.py").is_file()

# Where checkpoints are unless OCR_CHECKPOINTS says otherwise; never among the packages of an environment.
CHECKPOINTS = _PROJECT / "checkpoints" if IS_CHECKOUT else _DATA / "ocr-pages" / "checkpoints"
WEIGHTS = "python weights.py" if IS_CHECKOUT else "ocr weights"  # the command of the weights
INSTALL = (  # the command that brings the libraries of all models
    ".venv/bin/python -m pip install -r requirements-cpu.txt" if IS_CHECKOUT else "pip install 'ocr-pages[models]'"
)
