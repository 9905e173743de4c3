"""What document tools ask that speak to other servers: Open WebUI's external loader, and its docling engine."""

import time
from typing import IO
from urllib.parse import unquote

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse

from ocr.faces.gateway.answers import Answer
from ocr.faces.gateway.asking import inputs_of
from ocr.faces.gateway.openai_form import finish_header
from ocr.faces.gateway.refusals import wrong
from ocr.faces.gateway.service import Service
from ocr.models.catalog import AUTO


async def process(request: Request) -> JSONResponse:
    """`PUT /process`: the body is the document, and the answer one text with what is known of it."""
    service = Service.of(request)
    content = b"".join([piece async for piece in request.stream()])
    document = request.state.opened.enter_context(service.documents.kept(content, "body"))
    answer, text = await _read(request, document)
    metadata = {
        "source": unquote(request.headers.get("x-filename", "")),
        "model": answer.model,
        "pages": answer.sum("pages"),
        "finish_reason": answer.finish_reason.value,
    }
    return JSONResponse({"page_content": text, "metadata": metadata}, headers=finish_header(answer))


async def convert(request: Request) -> JSONResponse:
    """`POST /v1/convert/file`: the document is a form's file; the answer has its markdown, as docling's servers'."""
    began = time.monotonic()
    async with request.form() as form:
        file = form.get("files")
        if not isinstance(file, UploadFile):
            raise wrong("The form has no file in its field `files`.", "files")
        if not file.size:
            raise wrong("The file is empty: it has 0 bytes.", "files")
        answer, text = await _read(request, file.file)
        name = file.filename
    failed = [page["error"] for page in answer.pages if page["error"]]
    content = {"filename": name, "md_content": text, "json_content": None, "html_content": None, "text_content": None}
    body = {
        "document": {**content, "doctags_content": None},
        "status": "success" if answer.is_whole else "partial_success",
        "errors": [{"component_type": "model", "module_name": "ocr", "error_message": error} for error in failed],
        "processing_time": round(time.monotonic() - began, 3),
        "timings": {},
    }
    return JSONResponse(body, headers=finish_header(answer))


async def _read(request: Request, document: IO[bytes]) -> tuple[Answer, str]:
    answer = Service.of(request).answer(request, [document], inputs_of(AUTO, ""))
    return answer, await answer.whole()
