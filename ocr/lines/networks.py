"""One network of the checkpoint as a function on arrays. Knows no pixels and no text."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr.errors import ModelError, SetupError
from ocr.weights import table
from ocr.weights.installation import WEIGHTS

CHECKPOINT = "pp-ocr"  # the row of the table of checkpoints that names the files and their digests

Floats = NDArray[np.float32]
Network = Callable[[Floats], Floats]


class OnnxNetwork:
    """A network in an ONNX file, which is a graph and its arrays and no code: one array in, one array out."""

    def __init__(self, path: Path, threads: int) -> None:
        """Loads no other bytes than those the table of checkpoints has the digest of.

        `threads` compute together. Raises SetupError for a file that is missing or altered, and where onnxruntime is
        not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise SetupError(
                f"onnxruntime cannot be imported ({error}); it is the line `onnxruntime==…` of requirements.txt and "
                "requirements-cpu.txt: `pip install -r requirements-cpu.txt`."
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the core
        options.enable_cpu_mem_arena = False  # else what the largest page took is kept for ever
        options.log_severity_level = 3  # errors
        self._session: Any = onnxruntime.InferenceSession(_proven(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, batch: Floats) -> Floats:
        """The network's first output. Raises SetupError where memory runs out, ModelError where computing fails."""
        try:
            output: Floats = self._session.run(None, {self._input: batch})[0]
        except Exception as error:  # onnxruntime's own have no base but this
            if "alloc" in str(error).lower():
                raise SetupError(f"There is not enough memory to find and read lines of print: {error}") from error
            raise ModelError(f"The network failed while it computed: {error}") from error
        return output

    def note(self, name: str) -> str:
        """What the file says of itself under this name."""
        return str(self._session.get_modelmeta().custom_metadata_map[name])


def _proven(path: Path) -> bytes:
    """The bytes of a file of the checkpoint. Raises SetupError unless its sha256 is the table's."""
    pins = {file.name: file.sha256 for file in table.checkpoints()[CHECKPOINT].files}
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}. Run: {WEIGHTS} fetch {CHECKPOINT}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != pins[path.name]:
        raise SetupError(
            f"{path} is not the file that belongs there: its sha256 is {found}, not {pins[path.name]}. Delete the "
            f"folder {path.parent} and run: {WEIGHTS} fetch {CHECKPOINT}"
        )
    return content
