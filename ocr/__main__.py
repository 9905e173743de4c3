"""`python -m ocr`."""

import os
import signal
import sys


def _end_at_once(number: int, _frame: object) -> None:
    """While nothing is begun or all is done: no work to put away, and no time to wait for an import."""
    os.write(2, b"Interrupted.\n")
    os._exit(128 + number)


if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, _end_at_once)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # script/ocr holds it back while Python itself starts

from ocr.faces.cli.main import main  # noqa: E402  it takes a while, in which Ctrl-C may come
from ocr.faces.exits import INTERRUPTED  # noqa: E402

status = main()
if status == INTERRUPTED:
    os._exit(status)  # else Python, where the signal came amid an exec(), would end by the signal and give no status
sys.exit(status)
