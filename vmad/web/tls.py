# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""TLS as a web configuration asks for it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmad.web.web_mapping import WebMapping

_VERSIONS = {
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
_FILES = ("cert_file", "key_file", "client_ca_file")


def read_tls(section: WebMapping) -> tuple[ssl.SSLContext, tuple[str, ...]]:
    """(context, the files it was made of) of ``tls_server_config``. Raises BadConfig."""
    # relative names are relative to the configuration, as in the exporter toolkit
    folder = os.path.dirname(os.path.abspath(section.path))
    named = {key: section.text(key) for key in _FILES}
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
    context.minimum_version = section.choice("min_version", _VERSIONS, "TLS12")
    context.maximum_version = section.choice("max_version", _VERSIONS, "TLS13")
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


def asks_everybody(context: ssl.SSLContext) -> bool:
    """Whether every client has to show a certificate."""
    return context.verify_mode is ssl.CERT_REQUIRED


def _load(section: WebMapping, key: str, load: Callable[[], None]) -> None:
    try:
        load()
    except OSError as error:  # SSLError is one
        reason = error.strerror or str(error)
        raise section.wrong(f"{key}: {reason}") from error
