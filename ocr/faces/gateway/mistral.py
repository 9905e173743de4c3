"""`POST /v1/ocr` as Mistral has it: the document as pages with markdown, pictures, tables and blocks."""

import base64
import os
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import IO, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ocr.errors import choices
from ocr.faces.gateway.asking import inputs_of
from ocr.faces.gateway.mistral_page import MistralPage
from ocr.faces.gateway.openai_form import finish_header, refuse_unhonoured
from ocr.faces.gateway.refusals import Refusal, wrong
from ocr.faces.gateway.service import Service, client_of, field, payload_of
from ocr.models.catalog import AUTO

THEIR_MODEL = re.compile(r"mistral-ocr-[\w.-]+")  # what clients send that know no other server
TABLE_FORMATS = (None, "markdown", "html")
UNHONOURED: Mapping[str, tuple[Any, ...]] = {
    "bbox_annotation_format": (None,),
    "document_annotation_format": (None,),
    "document_annotation_prompt": (None, ""),
    "confidence_scores_granularity": (None,),
}


async def ocr(request: Request) -> Response:
    """Read a document. What is wrong with the request is 422, as their clients expect."""
    try:
        return await _read(request, await payload_of(request))
    except Refusal as refusal:
        if refusal.status != HTTPStatus.BAD_REQUEST:
            raise
        place = ["body", refusal.param or "document"]
        detail = [{"loc": place, "msg": refusal.message, "type": "value_error"}]
        return JSONResponse({**refusal.json(), "detail": detail}, HTTPStatus.UNPROCESSABLE_ENTITY)


async def _read(request: Request, payload: Mapping[str, Any]) -> Response:
    service = Service.of(request)
    refuse_unhonoured(payload, UNHONOURED)
    if payload.get("table_format") not in TABLE_FORMATS:
        raise wrong(f"table_format must be one of: {choices(map(str, TABLE_FORMATS))}.", "table_format")
    document = request.state.opened.enter_context(await _document(payload.get("document"), request))
    model = payload.get("model") or AUTO
    is_theirs = isinstance(model, str) and THEIR_MODEL.fullmatch(model)
    pages = _pages(payload.get("pages"))
    inputs = {**inputs_of(AUTO if is_theirs else model, "", payload.get("ocr")), **({"pages": pages} if pages else {})}
    answer = service.answer(request, [document], inputs)
    await answer.whole()
    read = [MistralPage(page, text) for page, text in zip(answer.pages, answer.page_texts, strict=True)]
    for page in read:
        page.take_out(payload, sum(len(earlier.pictures) for earlier in read[: read.index(page)]))
    if field(payload, "include_image_base64", bool):
        await _add_pictures(service, document, read, inputs)
    size = document.seek(0, os.SEEK_END)
    body = {
        "pages": [page.json(payload) for page in read],
        "model": answer.model,
        "document_annotation": None,
        "usage_info": {"pages_processed": len(read), "doc_size_bytes": size},
    }
    return JSONResponse(body, headers=finish_header(answer))


async def _document(named: Any, request: Request) -> IO[bytes]:
    """The document that a request names in one of three ways; `type` may be missing."""
    documents = Service.of(request).documents
    if not isinstance(named, dict):
        raise wrong("document must be an object with document_url, image_url or file_id.", "document")
    if id_ := field(named, "file_id", str):
        return documents.stored(id_, client_of(request))
    for name in ("document_url", "image_url"):
        url = named.get(name)
        url = url.get("url") if isinstance(url, dict) else url
        if isinstance(url, str) and url:
            return await documents.at(url, name)
    raise wrong("document has neither document_url, image_url nor file_id.", "document")


def _pages(named: Any) -> str:
    """Pages counted from 0, in a list or like `0,2-4`, as ours, from 1."""
    if named is None or named == []:
        return ""
    text = ",".join(map(str, named)) if isinstance(named, list) else str(named)
    if not re.fullmatch(r"\s*\d{1,6}\s*(-\s*\d{1,6}\s*)?(,\s*\d{1,6}\s*(-\s*\d{1,6}\s*)?)*", text):
        raise wrong(f"pages is {text[:100]!r}; it must be numbers from 0, like [0, 1] or 0,2-4.", "pages")
    return re.sub(r"\d+", lambda number: str(int(number[0]) + 1), text)


async def _add_pictures(
    service: Service, document: IO[bytes], pages: list[MistralPage], inputs: Mapping[str, Any]
) -> None:
    """Cut the pictures out of the document's pages, where there are any."""
    sheets = [page.sheet for page in pages if page.pictures]
    if not sheets:
        return
    document.seek(0)
    dpi = {"dpi": inputs["dpi"]} if "dpi" in inputs else {}
    crops = await service.drawing.crops(document.read(), sheets, **dpi)
    pictures = [picture for page in pages for picture in page.pictures]
    for picture, crop in zip(pictures, crops, strict=True):
        picture["content"] = f"data:image/jpeg;base64,{base64.b64encode(crop).decode()}"
