# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Keeps pages of other sites, open in a browser on this host, from asking the daemon.

A page may point its own name at 127.0.0.1 once it is loaded (DNS rebinding); to the browser the
daemon is then the page's own server. Only the Host header tells: it has the page's name. A page
that asks the daemon by its right address sends Origin or Sec-Fetch-Site (Fetch Metadata).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence

from vmad.web.request import Request

#: what scrapers and probes ask for; where the listening address is a network's, by any name
OPEN_PATHS = frozenset(("/metrics", "/-/healthy", "/-/ready"))
_OTHER_SITES = ("cross-site", "same-site")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^:\[\]/@\s]*))(?::[0-9]{1,5})?")


class SameSite:
    """``hosts``: names that the daemon answers to besides those that are its own anyway: IP
    addresses, localhost, the machine's name, and the names in ``listen`` (HOST:PORT each).
    ``.example.net`` stands for all names that end so.
    """

    def __init__(self, hosts: Iterable[str], listen: Sequence[str]) -> None:
        listened = {name_of(address) for address in listen if not address.startswith("unix:")}
        own = {"localhost", socket.gethostname(), *listened, *hosts}
        self._names = frozenset(name.lower().rstrip(".") for name in own if name)
        self._suffixes = tuple(name for name in self._names if name.startswith("."))
        self._network = any(not _loopback(name) for name in listened)

    def refusal(self, request: Request) -> tuple[int, str] | None:
        """(status, why) of a request that another site may be behind; None for others."""
        host = request.headers.get("host", "")
        name = name_of(host)
        if host and not self._ours(name) and not (self._network and request.path in OPEN_PATHS):
            return 421, f"no host of that name is served here; if it is right: web.hosts: [{name}]"
        headers = request.headers
        if "origin" in headers and headers["origin"].partition("://")[2] != host:
            return 403, "requests by pages of another site are not answered"
        site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
        # a person may follow a link from a dashboard, into a page that is not in a frame of theirs
        framed = headers.get("sec-fetch-dest", "document") != "document"
        if site in _OTHER_SITES and (mode != "navigate" or framed):
            return 403, "requests by pages of another site are not answered"
        return None

    def led_by_another(self, request: Request) -> bool:
        """Whether a page of another site may be what led a browser to this address.

        Browsers that send no Fetch Metadata (older ones, and all of them to a network address
        without TLS) say by Referer where a link was; who types an address is not told from who was
        led by a page that hides itself.
        """
        headers = request.headers
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in _OTHER_SITES
        if not headers.get("user-agent", "").startswith("Mozilla/"):
            return False  # no browser: no site can lead it
        _, _, after = headers.get("referer", "").partition("://")
        return after.partition("/")[0] != headers.get("host", "")

    def _ours(self, name: str) -> bool:
        return (
            name in self._names
            or name.endswith((".localhost", *self._suffixes))
            or _is_address(name)
        )


def name_of(host: str) -> str:
    """("[::1]:80") -> "::1"; lower case; "?" where it is no host at all."""
    match = _HOST.fullmatch(host)
    if match is None:
        return "?"
    return (match[1] or match[2] or "").lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _loopback(name: str) -> bool:
    return name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)
