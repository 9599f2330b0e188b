"""Forwarded headers (RFC 9110, section 7.6): which a proxy removes, and which it adds."""

import os
import re

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

REQUEST_ID = "X-Request-Id"

_HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._~+/=-]{1,128}")


def request_id(headers: CIMultiDictProxy[str]) -> str:
    """The client's request id if it is valid, otherwise a new one."""
    given = headers.get(REQUEST_ID, "")
    return given if _SANE_REQUEST_ID.fullmatch(given) else os.urandom(16).hex()


def upgrade_of(headers: CIMultiDictProxy[str]) -> str | None:
    """The protocol that a request wants to change to (RFC 9110, section 7.8)."""
    return headers.get("Upgrade") if "upgrade" in _named_by_connection(headers) else None


def to_container(request: web.BaseRequest, host: str, identity: str) -> CIMultiDict[str]:
    """`host` is the Host as the client wrote it."""
    headers = _end_to_end(request.headers)
    headers.popall("Expect", None)
    headers["Host"] = host
    headers[REQUEST_ID] = identity
    if request.remote:
        headers["X-Forwarded-For"] = ", ".join((*request.headers.getall("X-Forwarded-For", ()), request.remote))
    headers.setdefault("X-Forwarded-Host", host)
    headers.setdefault("X-Forwarded-Proto", "http")
    upgrade = upgrade_of(request.headers)
    if upgrade is not None:
        headers["Connection"] = "Upgrade"
        headers["Upgrade"] = upgrade
    return headers


def to_client(headers: CIMultiDictProxy[str], identity: str, waited: float | None) -> CIMultiDict[str]:
    """`waited` is how long the request waited for the service to start, in seconds; None if it was ready."""
    answered = _end_to_end(headers)
    answered.setdefault("Server", "docker-autostart")
    answered[REQUEST_ID] = identity
    answered["X-Autostart"] = "warm" if waited is None else "cold"
    answered.add("Server-Timing", f"wake;dur={(waited or 0) * 1000:.1f}")
    return answered


def _end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    ended = _HOP_BY_HOP | _named_by_connection(headers) if "Connection" in headers else _HOP_BY_HOP
    return CIMultiDict([(name, value) for name, value in headers.items() if name.lower() not in ended])


def _named_by_connection(headers: CIMultiDictProxy[str]) -> frozenset[str]:
    return frozenset(
        name.strip().lower() for value in headers.getall("Connection", ()) for name in value.split(",") if name.strip()
    )
