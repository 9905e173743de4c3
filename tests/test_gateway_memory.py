"""Memory of the gateway that is free again."""

import platform
import subprocess
import sys

import pytest

HOLD = """
from pathlib import Path
from ocr.faces.gateway.memory import give_back_what_is_free

def resident():
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])

{call}
before = resident()
large, small = [], []
for _ in range(500):
    large.append(bytearray(b"x" * 100_000))
    small.append(bytearray(b"x" * 3000))  # between them, so that no heap has a free end
large.clear()
print((resident() - before) // 1024)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another")
@pytest.mark.parametrize(("call", "is_given_back"), [("give_back_what_is_free()", True), ("", False)])
def test_large_pieces_go_back_to_the_system(call: str, is_given_back: bool) -> None:
    """Without the call they stay: so the test would see it if it did nothing."""
    done = subprocess.run([sys.executable, "-c", HOLD.format(call=call)], capture_output=True, text=True, check=True)
    assert (int(done.stdout) < 10) is is_given_back, f"{done.stdout} MiB are kept of 48"
