"""The images' cog.yaml: nothing that Cog warns of, and a build that says it when pget is left out."""

import hashlib
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from cog.predictor import load_predictor_from_ref

import predict
from tests.test_architecture import pins

IMAGES = ("cog.yaml", "cog.cpu.yaml")
PGET = b"the binary"


def image(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(Path(name).read_text())
    return loaded


@pytest.mark.parametrize("name", IMAGES)
def test_cog_warns_of_nothing_but_the_method_that_every_version_takes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = image(name)
    monkeypatch.setitem(sys.modules, "predict", predict)  # Cog puts a module of its own there
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        predictor = load_predictor_from_ref(described["predict"])
    assert [str(warning.message) for warning in caught] == ["Predictor.predict() is deprecated; use run() instead"]
    assert callable(predictor.run)
    assert not {"cog", "coglet"} & pins(described["build"]["python_requirements"]).keys()
    assert described["build"]["sdk_version"] == pins("requirements-cog.txt")["cog"]


@pytest.mark.parametrize(
    ("release", "installs", "says"),
    [
        ({"pget_Linux_x86_64": PGET, "checksums.txt": hashlib.sha256(PGET).hexdigest().encode()}, True, ""),
        (
            {"pget_Linux_x86_64": b"another", "checksums.txt": hashlib.sha256(PGET).hexdigest().encode()},
            False,
            "WARNING: pget is not the file that its release's checksums name, and this image is built WITHOUT it.",
        ),
        ({"pget_Linux_x86_64": PGET}, False, "WARNING: pget could not be fetched, and this image is built WITHOUT it."),
    ],
    ids=["whole", "another file", "no network"],
)
def test_the_build_says_when_pget_is_left_out(
    tmp_path: Path, release: dict[str, bytes], installs: bool, says: str
) -> None:
    served, into = tmp_path / "served", tmp_path / "bin"
    served.mkdir()
    into.mkdir()
    for name, content in release.items():
        (served / name).write_bytes(content + (b"  pget_linux_x86_64\n" if name == "checksums.txt" else b""))
    curl = into / "curl"
    curl.write_text(
        f'#!/bin/sh\nfor url; do case $url in http*) cp "{served}/${{url##*/}}" . 2>/dev/null || exit 22;; esac; done\n'
    )
    curl.chmod(0o755)
    (command,) = image("cog.yaml")["build"]["run"]
    done = subprocess.run(
        ["sh", "-c", command.replace("/usr/local/bin", str(into))],
        env={"PATH": f"{into}:{os.environ['PATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (into / "pget").exists() is installs
    assert (says in done.stderr) if says else ("WARNING" not in done.stderr)
