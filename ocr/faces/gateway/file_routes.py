"""`/v1/files`, as OpenAI and Mistral have it: upload, list, look up, content, signed URL, delete."""

from urllib.parse import quote

import anyio.to_thread
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from ocr.errors import choices
from ocr.faces.gateway.documents import too_large
from ocr.faces.gateway.drawing import Sheet
from ocr.faces.gateway.files import PURPOSES, StoredFile
from ocr.faces.gateway.refusals import wrong
from ocr.faces.gateway.sent_back import pages_of
from ocr.faces.gateway.service import Service, client_of, payload_of

TURNS = ("0", "90", "180", "270")  # degrees clockwise
URL_HOURS = 24  # that a signed URL is good for where the request does not say


async def upload(request: Request) -> JSONResponse:
    """Keep the file of a form."""
    service = Service.of(request)
    async with request.form() as form:
        file, purpose = form.get("file"), form.get("purpose", "user_data")
        if not isinstance(file, UploadFile):
            raise wrong("The form has no file in its field `file`.", "file")
        if purpose not in PURPOSES:
            raise wrong(f"purpose is {str(purpose)[:100]!r}; it must be one of: {choices(PURPOSES)}.", "purpose")
        size = file.size or 0
        if not size:
            raise wrong("The file is empty: it has 0 bytes.", "file")
        if size > service.settings.max_file_mb * 2**20:
            raise too_large(service.settings.max_file_mb)
        owner, name = client_of(request), file.filename or ""
        stored = await anyio.to_thread.run_sync(
            lambda: service.files.add(file.file, size, name=name, purpose=str(purpose), owner=owner)
        )
    return JSONResponse(stored.json())


async def every(request: Request) -> JSONResponse:
    """The caller's own files."""
    files = [file.json() for file in Service.of(request).files.all(client_of(request))]
    return JSONResponse({"object": "list", "data": files, "total": len(files), "has_more": False})


async def one(request: Request) -> JSONResponse:
    """What is known of a file."""
    return JSONResponse(_own(request).json())


async def content(request: Request) -> FileResponse:
    """A file itself, for its owner or for whoever holds a signed URL."""
    if "signature" in request.query_params:
        file = Service.of(request).files.signed(request.path_params["id"], request.url.query)
    else:
        file = _own(request)
    headers = {"Content-Disposition": f"attachment; filename*=utf-8''{quote(file.name)}"}  # never shown as a page
    return FileResponse(file.path, media_type="application/octet-stream", headers=headers)


async def page(request: Request) -> Response:
    """A page of a file as a picture, over whose pixels the boxes of its elements run; `turned` as it was read."""
    turned = request.query_params.get("turned", "0")
    if turned not in TURNS:
        raise wrong(f"turned is {turned[:100]!r}; it must be one of: {choices(TURNS)}.", "turned")
    sheet = Sheet(request.path_params["number"], int(turned))
    return Response(await Service.of(request).drawing.page(_own(request).path, sheet), media_type="image/jpeg")


async def searchable_pdf(request: Request) -> Response:
    """A file as a PDF with the text that was read of it: the body has `pages` as the JSON document does."""
    pages = pages_of(await payload_of(request))
    pdf = await Service.of(request).drawing.searchable(_own(request).path, pages)
    return Response(pdf, media_type="application/pdf", headers={"Content-Disposition": "attachment"})


async def signed_url(request: Request) -> JSONResponse:
    """A URL under which the file can be had without a key, for `expiry` hours."""
    hours = request.query_params.get("expiry", str(URL_HOURS))
    if not hours.isascii() or not hours.isdigit() or not int(hours[:6]) >= 1:
        raise wrong(f"expiry is {hours[:100]!r}; it must be a whole number of hours.", "expiry")
    path = Service.of(request).files.signed_path(_own(request), int(hours[:6]) * 3600)
    return JSONResponse({"url": str(request.base_url).rstrip("/") + path})


async def delete(request: Request) -> JSONResponse:
    """Delete a file."""
    file = _own(request)
    Service.of(request).files.delete(file.id, file.owner)
    return JSONResponse({"id": file.id, "object": "file", "deleted": True})


def _own(request: Request) -> StoredFile:
    return Service.of(request).files.get(request.path_params["id"], client_of(request))
