"""The schema that servers without `cog build` validate with, held to predict.py as Python itself sees it."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from ocr.faces.cog.schema import openapi, write_schema
from predict import Predictor

SOURCE = Path("predict.py").read_text()
DOCUMENT = openapi(SOURCE)
SCHEMAS = DOCUMENT["components"]["schemas"]


def test_every_input_has_what_its_declaration_says() -> None:
    """The declarations as the running Python holds them, against the document made from the text."""
    kinds = {
        str: {"type": "string"},
        int: {"type": "integer"},
        bool: {"type": "boolean"},
    }
    parameters = list(inspect.signature(Predictor.predict).parameters.values())[1:]
    assert list(SCHEMAS["Input"]["properties"]) == [parameter.name for parameter in parameters]
    for order, parameter in enumerate(parameters):
        declared: Any = parameter.default
        wanted: dict[str, Any] = {"x-order": order, "description": declared.description}
        if declared.choices:
            wanted["allOf"] = [{"$ref": f"#/components/schemas/{parameter.name}"}]
            assert SCHEMAS[parameter.name] == {
                "title": parameter.name,
                "description": "An enumeration.",
                "enum": declared.choices,
                "type": "string",
            }
        else:
            wanted |= {"title": parameter.name.replace("_", " ").title(), **kinds[parameter.annotation]}
        if parameter.name == "image":  # which the worker hands on as text
            wanted["format"] = "uri"
        wanted |= {"minimum": declared.ge} if declared.ge is not None else {}
        wanted |= {"maximum": declared.le} if declared.le is not None else {}
        wanted |= {"default": declared.default} if declared.default is not None else {}
        assert SCHEMAS["Input"]["properties"][parameter.name] == wanted
    assert SCHEMAS["Input"]["required"] == ["image"]


def test_the_output_is_a_stream_of_text() -> None:
    assert SCHEMAS["Output"] == {
        "title": "Output",
        "type": "array",
        "items": {"type": "string"},
        "x-cog-array-type": "iterator",
        "x-cog-array-display": "concatenate",
    }
    assert DOCUMENT["paths"]["/predictions"]["post"]["x-cog-streaming"] is True


def test_the_document_has_cogs_form() -> None:
    assert DOCUMENT["openapi"] == "3.0.2"
    assert DOCUMENT["info"]["title"] == "Cog"
    assert {"/", "/health-check", "/predictions", "/predictions/{prediction_id}/cancel"} <= set(DOCUMENT["paths"])
    assert {"Input", "Output", "PredictionRequest", "PredictionResponse", "Status"} <= set(SCHEMAS)
    assert {"HTTPValidationError", "ValidationError"} <= set(SCHEMAS)
    references = {part["$ref"] for part in walk(DOCUMENT) if "$ref" in part}
    assert {reference.removeprefix("#/components/schemas/") for reference in references} <= set(SCHEMAS)


def walk(value: Any) -> list[dict[str, Any]]:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [value] * isinstance(value, dict) + [found for child in children for found in walk(child)]


def test_it_is_written_where_cogs_server_looks(tmp_path: Path) -> None:
    (tmp_path / "predict.py").write_text(SOURCE)
    assert write_schema(tmp_path) == tmp_path / ".cog" / "openapi_schema.json"
    assert json.loads((tmp_path / ".cog" / "openapi_schema.json").read_text()) == DOCUMENT


@pytest.mark.parametrize("source", ["x = 1", "class Predictor:\n    def run(self): ...\n"])
def test_a_file_without_a_predictor_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="no class Predictor with a method predict"):
        openapi(source)


def test_choices_that_are_no_literal_are_refused() -> None:
    with pytest.raises(ValueError, match="malformed node"):
        openapi("class Predictor:\n    def predict(self, a: str = Input(choices=list(TASKS))): ...\n")
