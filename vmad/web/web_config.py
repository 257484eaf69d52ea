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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vmad.errors import BadConfig
from vmad.web.basic_auth import HASH, MOST_COST, Users

_log = logging.getLogger(__name__)

_TLS_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_TLS_FILES = ("cert_file", "key_file", "client_ca_file")
_TLS_KEYS = (*_TLS_FILES, "client_auth_type", "min_version", "max_version")
_HEADERS = (
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
)
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
        by_certificate = self.tls is not None and self.tls.verify_mode is ssl.CERT_REQUIRED
        return self.users is not None or by_certificate


class _Mapping:
    """A YAML mapping whose complaints name file and line."""

    def __init__(self, path: str, node: Any, allowed: tuple[str, ...] | None, what: str) -> None:
        import yaml  # noqa: PLC0415 - most hosts have no such file

        self.path, self.line = path, node.start_mark.line + 1
        self._nodes: dict[str, Any] = {}
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(f"{what} must be a mapping")
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str) or (allowed is not None and key not in allowed):
                raise self.wrong(f"unknown key {key!r} in {what}", allowed, key_node)
            if key in self._nodes:
                raise self.wrong(f"key {key!r} appears twice in {what}", None, key_node)
            self._nodes[key] = value_node
        self.keys = tuple(self._nodes)

    def wrong(
        self, text: str, allowed: tuple[str, ...] | None = None, node: Any = None
    ) -> BadConfig:
        line = self.line if node is None else node.start_mark.line + 1
        remedy = f"allowed: {', '.join(allowed)}" if allowed else None
        return BadConfig(f"{self.path}:{line}: {text}", remedy)

    def wrong_at(self, key: str, text: str) -> BadConfig:
        """A complaint about the value of ``key``."""
        return self.wrong(text, None, self._nodes[key])

    def mapping(self, key: str, allowed: tuple[str, ...] | None) -> _Mapping | None:
        node = self._nodes.get(key)
        if node is None or node.tag.endswith(":null"):
            return None
        return _Mapping(self.path, node, allowed, key)

    def text(self, key: str, pattern: re.Pattern[str] | None = None, says: str = "") -> str | None:
        node = self._nodes.get(key)
        if node is None or node.tag.endswith(":null"):
            return None
        if not isinstance(node.value, str) or (pattern and not pattern.fullmatch(node.value)):
            raise self.wrong(f"{key}: {says or 'must be a text'}", None, node)
        return node.value

    def choice(self, key: str, choices: Mapping[str, Any], default: str) -> Any:
        value = self.text(key) or default
        if value not in choices:
            raise self.wrong(f"{key}: {value!r} is not possible", tuple(choices), self._nodes[key])
        return choices[value]


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
    top = _Mapping(path, document, allowed, "the web configuration")
    tls, files = _read_tls(top.mapping("tls_server_config", _TLS_KEYS))
    return WebSettings(
        tls=tls,
        users=_read_users(top.mapping("basic_auth_users", None)),
        headers=_read_headers(top.mapping("http_server_config", ("headers", "http2"))),
        files=(path, *files),
    )


def _read_users(section: _Mapping | None) -> Users | None:
    if section is None or not section.keys:
        return None
    if importlib.util.find_spec("bcrypt") is None:
        raise BadConfig(
            f"{section.path}: users need the Python package bcrypt, which is not installed",
            "install Debian's python3-bcrypt, or bcrypt by pip",
        )
    says = "not a bcrypt hash (make one with `htpasswd -nBC 10 USER`)"
    hashes = {name: section.text(name, HASH, says) or "" for name in section.keys}
    for name, stored in hashes.items():
        cost = int(stored[4:6])
        if cost > MOST_COST:
            remedy = f"at most {MOST_COST} (make one with `htpasswd -nBC 10 USER`)"
            raise section.wrong_at(name, f"{name}: cost {cost} takes too long: {remedy}")
    return Users(hashes)


def _read_headers(section: _Mapping | None) -> dict[str, str]:
    """Extra response headers. ``http2`` is accepted and has no effect: HTTP/1.1 only."""
    headers = section and section.mapping("headers", _HEADERS)
    if not headers:
        return {}
    says = "must be printable ASCII"
    return {name: headers.text(name, _HEADER_VALUE, says) or "" for name in headers.keys}


def _read_tls(section: _Mapping | None) -> tuple[ssl.SSLContext | None, tuple[str, ...]]:
    if section is None or not section.keys:
        return None, ()
    # relative names are relative to the configuration, as in the exporter toolkit
    folder = os.path.dirname(os.path.abspath(section.path))
    named = {key: section.text(key) for key in _TLS_FILES}
    files = {key: os.path.join(folder, name) for key, name in named.items() if name}
    for key in ("cert_file", "key_file"):
        if key not in files:
            raise section.wrong(f"tls_server_config needs {key}")
    client = section.choice("client_auth_type", _CLIENT_AUTH, "NoClientCert")
    if (client is ssl.CERT_NONE) == ("client_ca_file" in files):
        raise section.wrong(
            "client_ca_file and a client_auth_type that verifies go together: one is missing"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = section.choice("min_version", _TLS_VERSIONS, "TLS12")
    context.maximum_version = section.choice("max_version", _TLS_VERSIONS, "TLS13")
    context.set_alpn_protocols(["http/1.1"])
    chain = files["cert_file"], files["key_file"]
    # an encrypted key fails with this password instead of asking on the daemon's terminal
    _load(section, "cert_file", lambda: context.load_cert_chain(*chain, password=lambda: "none"))
    if client is not ssl.CERT_NONE:
        _load(
            section,
            "client_ca_file",
            lambda: context.load_verify_locations(files["client_ca_file"]),
        )
        context.verify_mode = client
    return context, tuple(files.values())


def _load(section: _Mapping, key: str, load: Callable[[], None]) -> None:
    try:
        load()
    except OSError as error:  # SSLError is one
        reason = error.strerror or str(error)
        raise section.wrong(f"{key}: {reason}") from error


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
