# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The file that Prometheus exporters share for TLS and basic auth (--web.config.file).

Format: docs/web-configuration.md of github.com/prometheus/exporter-toolkit. What Python's ssl
cannot do (asking for a client certificate without verifying it) is refused, never ignored.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vmad.errors import BadConfig
from vmad.web.basic_auth import Users
from vmad.web.tls import asks_everybody, read_tls
from vmad.web.web_mapping import WebMapping

_log = logging.getLogger(__name__)

_TLS_KEYS = (
    "cert_file",
    "key_file",
    "client_ca_file",
    "client_auth_type",
    "min_version",
    "max_version",
)
_HEADERS = (
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
)
#: 2^14 rounds: about a second and a half; each one more doubles it, 31 takes two days
MOST_COST = 14
_HASH = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class WebSettings:
    """How to speak to clients. ``files`` were read to know it."""

    tls: ssl.SSLContext | None = None
    users: Users | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    @property
    def authenticated(self) -> bool:
        """Whether every client has to say who it is: by a password or by a certificate."""
        by_certificate = self.tls is not None and asks_everybody(self.tls)
        return self.users is not None or by_certificate


def read_web_config(path: str) -> WebSettings:
    """Settings from the file; an empty one means plain HTTP for everyone. Raises BadConfig."""
    import yaml  # noqa: PLC0415

    try:
        with open(path, "rb") as file:
            document = yaml.compose(file, Loader=yaml.SafeLoader)
    except OSError as error:
        raise BadConfig(f"{path}: {error.strerror}", "see --web.config.file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if document is None:
        return WebSettings(files=(path,))
    allowed = ("tls_server_config", "http_server_config", "basic_auth_users")
    top = WebMapping(path, document, allowed, "the web configuration")
    tls, files = _read_tls(top.mapping("tls_server_config", _TLS_KEYS))
    return WebSettings(
        tls=tls,
        users=_read_users(top.mapping("basic_auth_users", None)),
        headers=_read_headers(top.mapping("http_server_config", ("headers", "http2"))),
        files=(path, *files),
    )


def _read_users(section: WebMapping | None) -> Users | None:
    if section is None or not section.keys:
        return None
    if importlib.util.find_spec("bcrypt") is None:
        raise BadConfig(
            f"{section.path}: users need the Python package bcrypt, which is not installed",
            "install Debian's python3-bcrypt, or bcrypt by pip",
        )
    says = "not a bcrypt hash (make one with `htpasswd -nBC 10 USER`)"
    hashes = {name: section.text(name, _HASH, says) or "" for name in section.keys}
    for name, stored in hashes.items():
        cost = int(stored[4:6])
        if cost > MOST_COST:
            remedy = f"at most {MOST_COST} (make one with `htpasswd -nBC 10 USER`)"
            raise section.wrong_at(name, f"{name}: cost {cost} takes too long: {remedy}")
    return Users(hashes)


def _read_headers(section: WebMapping | None) -> dict[str, str]:
    """Extra response headers. ``http2`` is accepted and has no effect: HTTP/1.1 only."""
    headers = section and section.mapping("headers", _HEADERS)
    if not headers:
        return {}
    says = "must be printable ASCII"
    return {name: headers.text(name, _HEADER_VALUE, says) or "" for name in headers.keys}


def _read_tls(section: WebMapping | None) -> tuple[ssl.SSLContext | None, tuple[str, ...]]:
    if section is None or not section.keys:
        return None, ()
    return read_tls(section)


_Signature = tuple[tuple[int, int, int] | None, ...]


class WebConfigFile:
    """The settings as the file has them now; a broken change is logged and the old ones stay."""

    def __init__(self, path: str | None) -> None:
        """Raises BadConfig when the file cannot be used at the start."""
        self._path = path
        self._settings = WebSettings() if path is None else read_web_config(path)
        self._seen = self._signature()
        self._refused = ""

    def current(self) -> WebSettings:
        """The settings, read again when one of the files has changed. Costs a stat per file."""
        if self._path is None:
            return self._settings
        seen = self._signature()
        # after a refusal every look tries again: what was wrong may be in a file not yet known
        if seen != self._seen or self._refused:
            self._read_again(self._path, seen)
        return self._settings

    def _read_again(self, path: str, seen: _Signature) -> None:
        try:
            settings = read_web_config(path)
        except BadConfig as refusal:
            if str(refusal) != self._refused:
                _log.error("web configuration refused, the old one stays: %s", refusal)
            self._refused = str(refusal)
        else:
            self._refused = ""
            # the signature from before the reading: a change in the middle is seen next time
            same_files = settings.files == self._settings.files
            if settings.users is not None and settings.users.same_as(self._settings.users):
                # who was let in before, still is: a renewed certificate is no reason to ask again
                settings = replace(settings, users=self._settings.users)
            self._settings = settings
            self._seen = seen if same_files else self._signature()

    def _signature(self) -> _Signature:
        return tuple(map(_file_signature, self._settings.files))


def _file_signature(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
