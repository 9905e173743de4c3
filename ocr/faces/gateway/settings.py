"""What the operator of a gateway decides; `main` reads it from options and OCR_GATEWAY_* variables."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GatewaySettings:
    """One field for each option of the command, as its help says."""

    servers: tuple[str, ...] = ("http://127.0.0.1:5000",)
    keys: tuple[str, ...] = ()  # empty: everybody may ask
    hosts: tuple[str, ...] = ()  # names under which browsers may ask, beside this machine's own; * for any
    origins: tuple[str, ...] = ()  # of other sites whose pages may ask
    remote: bool = False  # whether documents at http(s) URLs of other servers are fetched
    fetch_s: float = 60.0
    max_body_mb: int = 100  # MiB
    max_file_mb: int = 70  # MiB; in base64 it must fit into the 100 MiB that Cog takes
    max_pages: int = 1000  # as OCR_MAX_PAGES of a Cog server
    max_waiting: int = 64
    patience_s: float = 300.0  # the Mistral client itself gives up after as long
    limit_s: float = 3600.0
    stall_s: float = 20.0
    files_mb: int = 2048
    files_hours: float = 24.0
