"""LiteLLM's own `ocr()` against the gateway.

Its pins conflict with those of this project, so it runs in an interpreter of its own: `--litellm PYTHON`.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.gateways import FakeCog, data_url, gateway, page_events

AT_HOME = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # it would fetch a list of prices
ASK = """
import json, sys, litellm
url, document = sys.argv[1:]
answer = litellm.ocr(
    model="mistral/auto", api_base=url, api_key="any", document={"type": "document_url", "document_url": document},
    pages=[0], include_image_base64=False,
)
print("answer " + json.dumps(answer.model_dump()))
"""


@pytest.fixture
def litellm(request: pytest.FixtureRequest) -> Path:
    python: Path | None = request.config.getoption("--litellm")
    if python is None:
        pytest.skip("runs with LiteLLM only: give --litellm PYTHON, an interpreter that has it")
    return python


@pytest.mark.parametrize("base", ["", "/v1"])
def test_litellm_reads_a_pdf(litellm: Path, base: str) -> None:
    cog = FakeCog(events=tuple(page_events("Hello world")))
    with gateway(cog) as url:
        document = data_url(b"%PDF-1.7", "application/pdf")
        command = [litellm, "-c", ASK, url + base, document]
        done = subprocess.run(command, env=os.environ | AT_HOME, capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("answer ")]
    answer = json.loads(line.removeprefix("answer "))
    assert answer["object"] == "ocr"
    assert answer["pages"][0]["markdown"] == "Hello world"
    assert answer["usage_info"]["pages_processed"] == 1
    assert cog.documents == [b"%PDF-1.7"]
    assert cog.inputs == [{"model": "auto", "pages": "1", "output_format": "events"}]
