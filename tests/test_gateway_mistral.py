"""`/v1/ocr` by Mistral's own client, and the requests that other document tools send."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest
from mistralai.client import Mistral
from mistralai.client.errors import HTTPValidationError, SDKError
from PIL import Image

from ocr.types import Check, Element, FinishReason
from tests.gateways import FakeCog, data_url, gateway, page_events, post, request
from tests.pictures import encoded

TABLE = "<table><tr><td>a</td><td>b|c</td></tr><tr><td>1</td><td>2</td></tr></table>"
ELEMENTS = (
    Element("header", "page-header", (0, 0, 640, 20), "Journal"),
    Element("heading", "sub_title", (10.4, 20.6, 200, 40), "Results"),
    Element("picture", "image", (10, 50, 110, 150)),
    Element("table", "table", (10, 160, 300, 300), TABLE),
    Element("text", "text", None, "nowhere"),
    Element("page_number", "page-number", (300, 460, 340, 480), "7"),
)
MARKDOWN = f"## Results\n\n![](images/page-1-1.png)\n\n{TABLE}\n\nnowhere"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeCog, str]]:
    cog = FakeCog(slots=4)
    with gateway(cog) as url:
        yield cog, url


@pytest.fixture
def cog(served: tuple[FakeCog, str]) -> FakeCog:
    cog, _ = served
    cog.events, cog.error = tuple(page_events(MARKDOWN, elements=ELEMENTS)), ""
    cog.inputs.clear()
    cog.documents.clear()
    return cog


@pytest.fixture
def url(cog: FakeCog, served: tuple[FakeCog, str]) -> str:
    return served[1]


@pytest.fixture
def client(url: str) -> Iterator[Mistral]:
    with Mistral(api_key="any", server_url=url) as client:
        yield client


PDF = {"type": "document_url", "document_url": data_url(b"%PDF-1.7", "application/pdf")}


def test_a_pdf_is_read(client: Mistral, cog: FakeCog) -> None:
    answer = client.ocr.process(model="mistral-ocr-latest", document=PDF, pages=[0, 2], include_blocks=True)
    (read,) = answer.pages
    assert read.markdown == MARKDOWN.replace("![](images/page-1-1.png)", "![img-0.jpeg](img-0.jpeg)")
    assert (read.index, read.dimensions.width, read.dimensions.height) == (0, 640, 480)
    assert [(it.id, it.top_left_x, it.bottom_right_y, it.image_base64) for it in read.images] == [
        ("img-0.jpeg", 10, 150, None)
    ]
    assert [block.type for block in read.blocks] == ["header", "title", "image", "table", "footer"]
    assert (read.blocks[1].top_left_x, read.blocks[1].top_left_y, read.blocks[1].content) == (10, 21, "Results")
    assert read.blocks[2].image_id == "img-0.jpeg"
    assert answer.model == "deepseek-ocr"
    assert (answer.usage_info.pages_processed, answer.usage_info.doc_size_bytes) == (1, 8)
    assert cog.documents == [b"%PDF-1.7"]
    assert cog.inputs == [{"model": "auto", "pages": "1,3", "output_format": "events"}]


@pytest.mark.parametrize(
    ("form", "content"), [("html", TABLE), ("markdown", "| a | b\\|c |\n| --- | --- |\n| 1 | 2 |")]
)
def test_tables_are_taken_out_where_a_form_is_asked_for(client: Mistral, cog: FakeCog, form: Any, content: str) -> None:
    (read,) = client.ocr.process(model="auto", document=PDF, table_format=form, include_blocks=True).pages
    (table,) = read.tables
    assert (table.format_, table.content) == (form, content)
    assert f"[{table.id}]({table.id})" in read.markdown
    assert TABLE not in read.markdown
    assert read.blocks[3].table_id == table.id


def test_header_and_footer_come_where_they_are_asked_for(client: Mistral) -> None:
    (read,) = client.ocr.process(model="auto", document=PDF, extract_header=True, extract_footer=True).pages
    assert (read.header, read.footer) == ("Journal", "7")
    (read,) = client.ocr.process(model="auto", document=PDF).pages
    assert (read.header, read.footer) == (None, None)


def test_pictures_are_cut_out_of_the_page(client: Mistral, cog: FakeCog) -> None:
    picture = Image.new("RGB", (640, 480), "white")
    picture.paste((255, 0, 0), (10, 50, 110, 150))
    document = {"type": "image_url", "image_url": data_url(encoded(picture))}
    (read,) = client.ocr.process(model="auto", document=document, include_image_base64=True).pages
    head, _, crop = read.images[0].image_base64.partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(crop))) as image:
        assert image.size == (100, 100)
        assert all(abs(got - wanted) < 5 for got, wanted in zip(image.getpixel((50, 50)), (255, 0, 0), strict=True))


def test_pictures_are_cut_out_of_a_page_as_it_was_read(client: Mistral, cog: FakeCog) -> None:
    """It lay on its side, and a Cog server drew it half as large."""
    picture = Image.new("RGB", (480, 640), "white")
    picture.paste((255, 0, 0), (0, 530, 100, 640))  # where the upper left corner is after a quarter's turn
    red = Element("picture", "image", (0, 0, 55, 50))
    cog.events = tuple(page_events("![](images/page-1-1.png)", elements=[red], width=320, height=240, turned=90))
    document = {"type": "image_url", "image_url": data_url(encoded(picture))}
    (read,) = client.ocr.process(model="auto", document=document, include_image_base64=True).pages
    with Image.open(io.BytesIO(base64.b64decode(read.images[0].image_base64.partition(",")[2]))) as image:
        assert image.size == (110, 100)
        levels = [image.getpixel(place) for place in ((2, 2), (107, 97))]
    assert all(red > 240 and green < 15 for red, green, _ in levels)


def test_what_a_second_reading_finds_is_told_with_each_page(url: str, cog: FakeCog) -> None:
    cog.events = tuple(page_events("Hello", check=Check(1, failure="It cannot be read.")))
    answer = post(f"{url}/v1/ocr", json={"model": "auto", "document": PDF, "ocr": {"check": True}})
    assert cog.inputs[0]["check"] is True
    assert answer.json()["pages"][0]["ocr"]["check"]["failure"] == "It cannot be read."


@pytest.mark.parametrize("more", [{"image_limit": 0}, {"image_min_size": 101}])
def test_pictures_that_are_not_wanted_are_left_out(client: Mistral, more: Any) -> None:
    (read,) = client.ocr.process(model="auto", document=PDF, **more).pages
    assert read.images == []
    assert "![" not in read.markdown


def test_an_uploaded_file_is_read_by_its_signed_url_as_open_webui_does(client: Mistral, cog: FakeCog) -> None:
    file = client.files.upload(file={"file_name": "a.pdf", "content": b"%PDF-1.7"}, purpose="ocr")
    signed = client.files.get_signed_url(file_id=file.id, expiry=1).url
    document = {"type": "document_url", "document_url": signed}
    client.ocr.process(model="mistral-ocr-latest", document=document, include_image_base64=False)
    client.ocr.process(model="auto", document={"type": "file", "file_id": file.id})
    assert cog.documents == [b"%PDF-1.7"] * 2
    assert client.files.retrieve(file_id=file.id).size_bytes == 8
    assert client.files.delete(file_id=file.id).deleted
    with pytest.raises(SDKError, match="expired"):
        client.ocr.process(model="auto", document=document)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"pages": "a"}, "numbers from 0"),
        ({"document_annotation_prompt": "What is it?"}, "is not supported"),
        ({"document": {"type": "document_url", "document_url": "https://other.example/a.pdf"}}, "not fetched here"),
        ({"document": {"type": "document_url", "document_url": "data:application/pdf;base64,"}}, "0 bytes"),
    ],
)
def test_what_is_wrong_is_422_in_their_form(client: Mistral, more: Any, words: str) -> None:
    with pytest.raises(HTTPValidationError) as refused:
        client.ocr.process(**{"model": "auto", "document": PDF, **more})
    assert words in refused.value.data.detail[0].msg


def test_a_document_that_cannot_be_read_is_422_and_one_page_of_it_is_told(client: Mistral, cog: FakeCog) -> None:
    cog.events = (*page_events("One"), *page_events("", 2, finish_reason=FinishReason.ERROR, error="It is torn."))
    answer = client.ocr.process(model="auto", document=PDF)
    assert answer.pages[1].markdown == "<!-- Page 2 could not be read: It is torn. -->"
    cog.events, cog.error = (), "InputError: The PDF is damaged."
    with pytest.raises(HTTPValidationError, match="damaged"):
        client.ocr.process(model="auto", document=PDF)


def test_litellm_sends_this(url: str, cog: FakeCog) -> None:
    body = {"model": "deepseek-ocr", "document": PDF, "include_image_base64": True, "pages": [0]}
    cog.events = tuple(page_events("Hello"))
    answer = post(f"{url}/v1/ocr", json=body, headers={"Authorization": "Bearer any"})
    assert answer.status_code == 200
    assert answer.json()["pages"][0]["markdown"] == "Hello"
    assert answer.headers["X-OCR-Finish-Reason"] == "stop"


def test_open_webui_s_external_loader_sends_this(url: str, cog: FakeCog) -> None:
    headers = {"Content-Type": "application/pdf", "Authorization": "Bearer any", "X-Filename": "B%C3%A4r.pdf"}
    answer = request("PUT", f"{url}/process", content=b"%PDF-1.7", headers=headers)
    assert answer.json() == {
        "page_content": MARKDOWN,
        "metadata": {"source": "Bär.pdf", "model": "deepseek-ocr", "pages": 1, "finish_reason": "stop"},
    }
    assert cog.documents == [b"%PDF-1.7"]
    assert request("PUT", f"{url}/process").status_code == 400


def test_open_webui_s_docling_engine_sends_this(url: str, cog: FakeCog) -> None:
    files = {"files": ("a.pdf", b"%PDF-1.7", "application/pdf")}
    form = {"image_export_mode": "placeholder"}
    answer = post(f"{url}/v1/convert/file", files=files, data=form, headers={"X-Api-Key": "any"})
    assert answer.json()["document"]["md_content"] == MARKDOWN
    assert answer.json()["status"] == "success"
    assert cog.documents == [b"%PDF-1.7"]
    assert post(f"{url}/v1/convert/file", data=form).status_code == 400
