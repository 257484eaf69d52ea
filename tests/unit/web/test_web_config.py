# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""TLS and basic auth from the file that Prometheus exporters share, over real sockets."""

from __future__ import annotations

import base64
import logging
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import bcrypt
import pytest

from tests.unit.web.serving import connect, get, read_all, send, serving
from vmad.errors import BadConfig
from vmad.web.basic_auth import Users
from vmad.web.web_config import WebConfigFile, read_web_config


def hashed(password: bytes) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 "
        f"-subj /CN={name} -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return certificate, key


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "web.yml"


def test_only_users_with_their_password_get_in_on_every_path(config: Path) -> None:
    # htpasswd writes $2y$
    config.write_text(f"basic_auth_users:\n  ann: {hashed(b'sesame').replace('$2b$', '$2y$')}\n")
    with serving(web_config=str(config)) as address:
        for path in ("/", "/metrics", "/-/healthy", "/api/v1/scan", "/nonsense"):
            refused = get(address, path)
            assert refused.status == 401
            assert refused.headers["www-authenticate"].startswith("Basic realm=")
        for credentials in (
            basic("ann", "Sesame"),
            basic("bob", "sesame"),
            basic("ann", ""),
            {"Authorization": "Basic !!!"},
            {"Authorization": "Bearer sesame"},
            {"Authorization": "Basic " + base64.b64encode(b"ann").decode()},
            {"Authorization": "Basic " + base64.b64encode(b"ann:\0").decode()},
        ):
            assert get(address, "/metrics", credentials).status == 401
        assert get(address, "/metrics", basic("ann", "sesame")).status == 200
        assert get(address, "/metrics", basic("ann", "sesame")).status == 200
        assert get(address, "/nonsense", basic("ann", "sesame")).status == 404


def test_verified_credentials_are_remembered_and_wrong_ones_are_not() -> None:
    users = Users({"ann": hashed(b"sesame")})
    right, wrong = basic("ann", "sesame")["Authorization"], basic("ann", "x")["Authorization"]

    assert not users.remembered(right)
    assert users.verify(right)
    assert users.remembered(right)
    assert not users.verify(wrong)
    assert not users.remembered(wrong)


def test_long_password_is_compared_by_its_first_72_bytes() -> None:
    users = Users({"ann": hashed(b"x" * 72)})

    assert users.verify(basic("ann", "x" * 100)["Authorization"])


def test_change_of_the_file_is_seen_at_the_next_request(config: Path) -> None:
    config.write_text("")
    with serving(web_config=str(config)) as address:
        assert get(address, "/metrics").status == 200
        config.write_text(f"basic_auth_users: {{ann: {hashed(b'a')}}}\n")
        assert get(address, "/metrics").status == 401


def test_broken_change_is_refused_once_in_the_log_and_the_old_settings_stay(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config.write_text(f"basic_auth_users: {{ann: {hashed(b'a')}}}\n")
    file = WebConfigFile(str(config))
    before = file.current()

    config.write_text("basic_auth_user: {}\n")
    with caplog.at_level(logging.ERROR):
        assert file.current() is before
        assert file.current() is before

    assert len(caplog.records) == 1
    config.unlink()
    assert file.current() is before
    config.write_text("")
    assert file.current().users is None


def test_tls_is_spoken_with_the_configured_certificate_and_a_renewed_one(
    config: Path, tmp_path: Path
) -> None:
    certificate, key = make_certificate(tmp_path, "server")
    config.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
    with serving(web_config=str(config)) as address:
        reply = get(address, "/metrics", tls=trusting(certificate))
        assert reply.status == 200
        assert len(reply.body) == int(reply.headers["content-length"])

        renewed, renewed_key = make_certificate(tmp_path, "renewed")
        renewed_key.replace(key)
        renewed.replace(certificate)
        assert get(address, "/-/healthy", tls=trusting(certificate)).status == 200


def test_client_that_does_not_speak_tls_is_closed_and_others_are_served(
    config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, _ = make_certificate(tmp_path, "server")
    config.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
    with caplog.at_level(logging.INFO), serving(web_config=str(config)) as address:
        with connect(address) as plain:
            plain.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert b"HTTP" not in read_all(plain)
        silent = [connect(address) for _ in range(40)]
        try:
            assert get(address, "/-/healthy", tls=trusting(certificate)).status == 200
        finally:
            for one in silent:
                one.close()

    assert not caplog.records


def test_client_certificate_is_required_when_configured(config: Path, tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path, "server")
    client, client_key = make_certificate(tmp_path, "client")
    config.write_text(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: client.crt\n"
    )
    with serving(web_config=str(config)) as address:
        # TLS 1.3: the client's handshake is over before the server has refused it
        answered = b""
        with suppress(OSError):
            message = b"GET /metrics HTTP/1.0\r\n\r\n"
            answered = send(address, message, trusting(certificate))
        assert answered == b""
        known = trusting(certificate)
        known.load_cert_chain(client, client_key)
        assert get(address, "/metrics", tls=known).status == 200
        # who has one sees addresses, too
        assert get(address, "/api/v1/explain/7?pairs=1", tls=known).status == 200


def test_tls_below_1_2_is_not_spoken_unless_asked_for(config: Path, tmp_path: Path) -> None:
    make_certificate(tmp_path, "server")
    config.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")

    tls = read_web_config(str(config)).tls

    assert tls is not None
    assert tls.minimum_version is ssl.TLSVersion.TLSv1_2


def test_configured_headers_are_on_every_response(config: Path) -> None:
    config.write_text(
        "http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n"
    )
    with serving(web_config=str(config)) as address:
        assert get(address, "/-/healthy").headers["x-frame-options"] == "deny"
        assert get(address, "/nonsense").headers["x-frame-options"] == "deny"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "\nbasic_auth: {}",
            ":2: unknown key 'basic_auth' in the web configuration; allowed: tls_",
        ),
        (
            "tls_server_config:\n  cert: x",
            ":2: unknown key 'cert' in tls_server_config; allowed: c",
        ),
        ("tls_server_config:\n  cert_file: x", ":2: tls_server_config needs key_file"),
        ("tls_server_config: {cert_file: x, key_file: y}", ":1: cert_file: No such file"),
        (
            "tls_server_config: {cert_file: x, key_file: y, client_auth_type: RequestClientCert}",
            ":1: client_auth_type: 'RequestClientCert' is not possible; allowed: NoClientCert, ",
        ),
        (
            "tls_server_config: {cert_file: x, key_file: y, client_ca_file: z}",
            ":1: client_ca_file and a client_auth_type that verifies go together",
        ),
        (
            "tls_server_config: {cert_file: web.yml, key_file: web.yml, min_version: SSL3}",
            ":1: min_version: 'SSL3' is not possible; allowed: TLS10, TLS11, TLS12, TLS13",
        ),
        ("tls_server_config: {cert_file: web.yml, key_file: web.yml}", ":1: cert_file: "),
        ("basic_auth_users:\n  ann: sesame", ":2: ann: not a bcrypt hash (make one with"),
        ("basic_auth_users: [ann]", ":1: basic_auth_users must be a mapping"),
        ("- 1", ":1: the web configuration must be a mapping"),
        ("http_server_config: {headers: {Server: x}}", ":1: unknown key 'Server' in headers"),
        ("basic_auth_users: {}\nbasic_auth_users: {}", ":2: key 'basic_auth_users' appears twice"),
        ("{", ": not YAML: "),
        ("\xff", ": not YAML: "),
    ],
    ids=range(15),
)
def test_wrong_configuration_is_refused_with_file_line_and_what_is_allowed(
    config: Path, text: str, says: str
) -> None:
    config.write_bytes(text.encode("latin-1"))

    with pytest.raises(BadConfig) as refusal:
        read_web_config(str(config))

    assert str(refusal.value).startswith(f"{config}{says}")
    assert "\n" not in str(refusal.value)


def test_missing_configuration_is_one_line(config: Path) -> None:
    with pytest.raises(BadConfig, match=r"web\.yml: No such file or directory"):
        WebConfigFile(str(config))


def test_users_without_bcrypt_name_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    path = tmp_path / "web.yml"
    path.write_text("basic_auth_users: {eve: $2y$10$" + "a" * 53 + "}\n", encoding="utf-8")
    with pytest.raises(BadConfig, match="python3-bcrypt"):
        read_web_config(str(path))
