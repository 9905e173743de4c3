"""Documents from URLs, on hostile sites of this machine: limits of size and time, addresses, redirects, packing."""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ocr.documents import addresses, fetching
from ocr.documents.addresses import is_loopback, is_public
from ocr.documents.fetching import fetch_document
from ocr.errors import InputError, SetupError
from tests.fetching import closed_port
from tests.hostile import MIB, PNG, Site, hostile_site

SOON_S = 0.5


@pytest.fixture
def site() -> Iterator[str]:
    with hostile_site() as url:
        yield url


def fetched(url: str, **limits: Any) -> bytes:
    with fetch_document(url, **{"max_mb": 3, "seconds": 30, "private": True, **limits}) as file:
        return file.read()


def refusal(url: str, **limits: Any) -> str:
    with pytest.raises(InputError) as raised:
        fetched(url, **limits)
    assert len(str(raised.value)) < 500
    return str(raised.value)


@pytest.mark.parametrize("path", ["", "/packed", "/to?url=/page", "/to?url=/to%3Furl=packed"])
def test_a_document_comes_as_it_is(site: str, path: str) -> None:
    assert fetched(site + path) == PNG


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/endless", "more than 3 MiB; send a smaller one, or raise OCR_MAX_FILE_MB"),
        ("/says-large", "more than 3 MiB"),
        ("/packed-bomb", "more than 3 MiB"),
        ("/packed-cut", "packed body is cut off"),
        ("/packed-twice", "something follows its packed body"),
        ("/packed-otherwise", "packed as 'br', which is not read"),
        ("/says-more", "without sending complete message body"),
        ("/large-head", "It cannot be fetched: "),
        ("/loop", "redirected more than 5 times"),
        ("/gone", "answered 404 Not Found."),
        ("/to?url=file:///etc/hostname", "redirected to no http(s) URL"),
        ("/to?url=http://[::1/", "It is no URL: "),
    ],
)
def test_what_cannot_be_fetched_is_one_short_sentence(site: str, path: str, words: str) -> None:
    assert words in refusal(site + path)
    assert Site.sent < 40 * MIB
    assert len(Site.asked) <= 1 + fetching.REDIRECTS


@pytest.mark.parametrize("path", ["/trickle", "/slow-head", "/silent", "/to?url=/trickle"])
def test_what_does_not_come_in_time_is_given_up(site: str, path: str) -> None:
    begun = threading.active_count()
    assert "did not come in 0.5 s. Send the file itself, or raise OCR_FETCH_S" in refusal(site + path, seconds=SOON_S)
    assert comes_true(lambda: threading.active_count() <= begun)  # the site's own thread has gone too


def comes_true(holds: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not (is_so := holds()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return is_so


class Cancelled(BaseException):
    """As Cog's: raised in the midst of whatever the thread does."""


@pytest.mark.parametrize("path", ["/trickle", "/silent"])
def test_an_exception_from_without_ends_it_at_once(site: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.active_count()
    join = threading.Thread.join

    def join_then_cancel(thread: threading.Thread, seconds: float | None = None) -> None:
        join(thread, seconds)
        if Site.asked:
            raise Cancelled

    monkeypatch.setattr(threading.Thread, "join", join_then_cancel)
    with pytest.raises(Cancelled):
        fetched(site + path, seconds=1000)
    assert comes_true(lambda: threading.active_count() <= begun)


def test_a_full_disk_is_the_operators_to_mend(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", lambda: Path("/dev/full").open("r+b", buffering=0))  # noqa: SIM115
    with pytest.raises(SetupError, match=r"temporary folder .* cannot be written: No space left"):
        fetched(site)


PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::"]
PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_any_other_use_is_not(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0"]
)
def test_no_form_of_this_machines_address_is_asked(site: str, host: str) -> None:
    port = site.rpartition(":")[2]
    assert "has no public address" in refusal(f"http://{host}:{port}/", private=False)
    assert not Site.asked


def test_an_open_port_a_closed_one_and_a_name_that_leads_nowhere_are_told_alike(site: str) -> None:
    said = {
        refusal(url, private=False).replace(host, "HOST")
        for host, url in [
            ("127.0.0.1", site),
            ("127.0.0.1", f"http://127.0.0.1:{closed_port()}"),
            ("169.254.169.254", "http://169.254.169.254/latest/meta-data"),
            ("no.such.name.invalid", "http://no.such.name.invalid/"),
        ]
    }
    assert said == {"It cannot be fetched: the host 'HOST' has no public address."}


@pytest.fixture
def public_127_0_0_2(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, list[str]], list[str]]:
    """Has 127.0.0.2 be called public, and a name lead to one address after the other; gives the lookups made."""
    monkeypatch.setattr(fetching, "is_public", lambda address: str(address) == "127.0.0.2")
    system = socket.getaddrinfo

    def use(name: str, leads_to: list[str]) -> list[str]:
        lookups: list[str] = []

        def getaddrinfo(host: str, *given: Any, **options: Any) -> Any:
            if host == name:
                lookups.append(host)
                host = leads_to[min(len(lookups), len(leads_to)) - 1]
            return system(host, *given, **options)

        monkeypatch.setattr(addresses.socket, "getaddrinfo", getaddrinfo)
        return lookups

    return use


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    public_127_0_0_2: Callable[[str, list[str]], list[str]],
) -> None:
    lookups = public_127_0_0_2("name.test", ["127.0.0.2", "127.0.0.1"])
    with hostile_site("127.0.0.2") as public:
        port = public.rpartition(":")[2]
        assert fetched(f"http://name.test:{port}/", private=False) == PNG
        assert lookups == ["name.test"]
        assert "has no public address" in refusal(f"http://name.test:{port}/", private=False)


@pytest.mark.parametrize("target", ["http://127.0.0.1:{port}/", "http://name.test:{port}/", "//[::1]:{port}/"])
def test_a_redirect_is_checked_as_the_first_url_was(
    public_127_0_0_2: Callable[[str, list[str]], list[str]], target: str
) -> None:
    public_127_0_0_2("name.test", ["127.0.0.1"])
    with hostile_site("127.0.0.2") as public:
        place = target.format(port=public.rpartition(":")[2])
        assert "has no public address" in refusal(f"{public}/to?url={place}", private=False)
        assert len(Site.asked) == 1


def test_a_login_in_a_url_goes_to_its_own_host_alone(site: str) -> None:
    with hostile_site("127.0.0.2") as other:
        fetched(f"{site.replace('//', '//me:secret%20word@')}/to?url={other}/page")
    assert Site.logins == ["Basic bWU6c2VjcmV0IHdvcmQ=", None]


@pytest.mark.parametrize("private", [True, False])
def test_a_proxy_is_asked_only_where_any_address_may_be(private: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with hostile_site() as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy)
        said = refusal("http://no.such.name.invalid/gone", private=private)
        assert ("404" in said, "no public address" in said) == (private, not private)
        assert Site.asked == ["http://no.such.name.invalid/gone"] * private


@pytest.mark.parametrize("url", ["ftp://example.org/a", "http://", "http:///x", "https://", "http://[::1"])
def test_what_is_no_url_of_the_web_is_refused_without_a_lookup(url: str) -> None:
    assert refusal(url).startswith(("It cannot be fetched: it is no http(s) URL", "It is no URL"))


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("a.b", False),
    ],
)
def test_this_machine_is_known_by_its_names(host: str, own: bool) -> None:
    assert is_loopback(host) is own
