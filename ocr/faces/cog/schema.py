"""predict.py to `.cog/openapi_schema.json`, for servers that run without `cog build`, which writes that file itself.

Without it Cog's server validates nothing and refuses to stream. The form is that of Cog 0.23's own documents. Runnable:
`python -m ocr.faces.cog.schema` writes the file into the current folder. Reads predict.py as text; runs none of it.
"""

import ast
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[3]  # where predict.py is, and the server runs
SCHEMA_PATH = Path(".cog") / "openapi_schema.json"
_TYPES = {
    "Path": {"type": "string", "format": "uri"},
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
}
_OUTPUT = {
    "title": "Output",
    "type": "array",
    "items": {"type": "string"},
    "x-cog-array-type": "iterator",
    "x-cog-array-display": "concatenate",
}


def write_schema(project: Path) -> Path:
    """Write the schema of the project's predict.py where Cog's server looks for it, and give that place back."""
    path = project / SCHEMA_PATH
    path.parent.mkdir(exist_ok=True)
    document = openapi((project / "predict.py").read_text(encoding="utf-8"))
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        file.write(json.dumps(document, indent=2) + "\n")
    Path(file.name).replace(path)  # whole at any moment: another server may be reading it
    return path


def openapi(source: str) -> dict[str, Any]:
    """The OpenAPI 3.0.2 document of a predict.py whose Predictor streams text, in the form that `cog build` gives it.

    Raises ValueError for an input whose declaration is no literal, which Cog could not read either.
    """
    inputs = dict(_inputs(ast.parse(source)))
    enums = {
        name: {"title": name, "description": "An enumeration.", "enum": field["choices"], "type": "string"}
        for name, field in inputs.items()
        if "choices" in field
    }
    properties = {name: _property(name, field, order) for order, (name, field) in enumerate(inputs.items())}
    required = [name for name, field in inputs.items() if "default" not in field]
    schema = {"title": "Input", "type": "object", "properties": properties, "required": required}
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": _PATHS,
        "components": {"schemas": {"Input": schema, "Output": _OUTPUT, **enums, **_ENVELOPES}},
    }


def _inputs(module: ast.Module) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each parameter of Predictor.predict: its type's name and the keywords of its Input()."""
    arguments = _predict_method(module).args
    parameters = arguments.args[1:]
    defaults: list[ast.expr | None] = [None] * (len(parameters) - len(arguments.defaults)) + list(arguments.defaults)
    for parameter, default in zip(parameters, defaults, strict=True):
        field: dict[str, Any] = {"type": ast.unparse(parameter.annotation) if parameter.annotation else ""}
        if isinstance(default, ast.Call):
            field |= {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in default.keywords}
        yield parameter.arg, field


def _predict_method(module: ast.Module) -> ast.FunctionDef | ast.AsyncFunctionDef:
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef) and node.name == "Predictor":
            for member in node.body:
                if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and member.name == "predict":
                    return member
    raise ValueError("predict.py has no class Predictor with a method predict")


def _property(name: str, field: Mapping[str, Any], order: int) -> dict[str, Any]:
    if "choices" in field:
        schema: dict[str, Any] = {"allOf": [{"$ref": f"#/components/schemas/{name}"}]}
    else:
        schema = {"title": name.replace("_", " ").title(), **_TYPES[field["type"]]}
    for ours, theirs in (("ge", "minimum"), ("le", "maximum"), ("default", "default"), ("description", "description")):
        if ours in field:
            schema[theirs] = field[ours]
    return schema | {"x-order": order}


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _operation(summary: str, operation: str, answer: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    responses = {"200": {"description": "Successful Response", "content": _json(answer)}}
    if "requestBody" in more or "parameters" in more:
        responses["422"] = {"description": "Validation Error", "content": _json(_ref("HTTPValidationError"))}
    return {"summary": summary, "operationId": operation, "responses": responses, **more}


_PREDICTION_ID = {
    "in": "path",
    "name": "prediction_id",
    "required": True,
    "schema": {"title": "Prediction ID", "type": "string"},
}
_REQUEST_BODY = {"content": _json(_ref("PredictionRequest"))}
_PATHS = {
    "/": {"get": _operation("Root", "root__get", {"title": "Response Root  Get"})},
    "/health-check": {
        "get": _operation("Healthcheck", "healthcheck_health_check_get", {"title": "Response Healthcheck Get"})
    },
    "/predictions": {
        "post": _operation(
            "Predict",
            "predict_predictions_post",
            _ref("PredictionResponse"),
            description="Run a single prediction on the model",
            requestBody=_REQUEST_BODY,
            **{"x-cog-streaming": True},
        )
    },
    "/predictions/{prediction_id}": {
        "put": _operation(
            "Predict Idempotent",
            "predict_idempotent_predictions__prediction_id__put",
            _ref("PredictionResponse"),
            description="Run a single prediction on the model, under an id of the caller's own",
            parameters=[_PREDICTION_ID],
            requestBody=_REQUEST_BODY,
            **{"x-cog-streaming": True},
        )
    },
    "/predictions/{prediction_id}/cancel": {
        "post": _operation(
            "Cancel",
            "cancel_predictions__prediction_id__cancel_post",
            {"title": "Response Cancel Predictions  Prediction Id  Cancel Post"},
            description="Cancel a running prediction",
            parameters=[_PREDICTION_ID],
        )
    },
}


def _object(title: str, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"title": title, "type": "object", "properties": properties, **more}


def _text(title: str, **more: str) -> dict[str, str]:
    return {"title": title, "type": "string", **more}


_ENVELOPES = {
    "Status": {
        "title": "Status",
        "description": "An enumeration.",
        "enum": ["starting", "processing", "succeeded", "canceled", "failed"],
        "type": "string",
    },
    "PredictionRequest": _object(
        "PredictionRequest",
        {
            "id": _text("Id"),
            "created_at": _text("Created At", format="date-time"),
            "input": _ref("Input"),
            "webhook": _text("Webhook", format="uri"),
            "webhook_events_filter": {
                "title": "Webhook Events Filter",
                "type": "array",
                "items": {"type": "string", "enum": ["start", "output", "logs", "completed"]},
            },
        },
    ),
    "PredictionResponse": _object(
        "PredictionResponse",
        {
            "id": _text("Id"),
            "input": _ref("Input"),
            "output": _ref("Output"),
            "status": _ref("Status"),
            "error": _text("Error"),
            "logs": _text("Logs", default=""),
            "metrics": {"title": "Metrics", "type": "object"},
            "created_at": _text("Created At", format="date-time"),
            "started_at": _text("Started At", format="date-time"),
            "completed_at": _text("Completed At", format="date-time"),
            "version": _text("Version"),
        },
    ),
    "ValidationError": _object(
        "ValidationError",
        {
            "loc": {
                "title": "Location",
                "type": "array",
                "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            },
            "msg": _text("Message"),
            "type": _text("Error Type"),
        },
        required=["loc", "msg", "type"],
    ),
    "HTTPValidationError": _object(
        "HTTPValidationError",
        {"detail": {"title": "Detail", "type": "array", "items": _ref("ValidationError")}},
    ),
}


if __name__ == "__main__":
    sys.stdout.write(f"{write_schema(Path.cwd())}\n")
