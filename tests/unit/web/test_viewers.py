# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Who may see the addresses of a process: the one whom the kernel lets read its maps."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.other_users import ASK_BY_SOCKET
from tests.unit.web.serving import Reply, SampleContent, get, parse_reply, serving
from vmad.errors import VmadError
from vmad.web.listen import bind_all
from vmad.web.viewer import ANYBODY, Viewer, peer_of

#: a user and a group that nobody has
UID, GID = 54321, 54321

_WAIT = "import sys; print('up', flush=True); sys.stdin.read()"
_UNDUMPABLE = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); " + _WAIT


def as_user(uid: int, *more: str) -> list[str]:
    """A command prefix."""
    return ["setpriv", "--reuid", str(uid), "--regid", str(GID), "--clear-groups", *more]


@contextmanager
def process(program: str = _WAIT, prefix: tuple[str, ...] = ()) -> Iterator[int]:
    """The pid of a process that waits."""
    command = [*prefix, sys._base_executable, "-S", "-c", program]  # type: ignore[attr-defined]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        try:
            yield running.pid
        finally:
            running.kill()


def may_really(uid: int, pid: int) -> bool:
    """The kernel's own word: whether a process of this user can read those maps."""
    command = [*as_user(uid), "cat", f"/proc/{pid}/maps"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def ask(path: Path, request: bytes, prefix: list[str]) -> Reply:
    """The daemon's answer to another user at its Unix socket."""
    command = [*prefix, sys._base_executable, "-S", "-c", ASK_BY_SOCKET, str(path)]  # type: ignore[attr-defined]
    return parse_reply(
        subprocess.run(command, input=request, capture_output=True, check=True).stdout
    )


@pytest.mark.root
@pytest.mark.parametrize(
    ("program", "prefix"),
    [
        (_WAIT, as_user(UID)),
        (_WAIT, ()),
        (_WAIT, as_user(UID + 1)),
        (_UNDUMPABLE, as_user(UID)),
        (_WAIT, ["setpriv", "--ruid", str(UID), "--regid", str(GID), "--clear-groups"]),
        (_WAIT, ["setpriv", "--reuid", str(UID), "--clear-groups"]),
        (_WAIT, as_user(UID, "--inh-caps", "+net_raw", "--ambient-caps", "+net_raw")),
    ],
    ids=["own", "root's", "another's", "not dumpable", "other effective uid", "other group",
         "has a capability"],
)  # fmt: skip
def test_user_may_see_what_the_kernel_lets_them_read(
    program: str, prefix: tuple[str, ...] | list[str]
) -> None:
    with process(program, tuple(prefix)) as pid:
        expected = may_really(UID, pid)
        assert Viewer(uid=UID, gid=GID).may_read_maps(pid) == expected
        assert not ANYBODY.may_read_maps(pid)
        assert Viewer(trusted=True).may_read_maps(pid)


def test_nobody_may_see_a_process_that_is_gone() -> None:
    with process() as pid:
        pass

    assert not Viewer(uid=os.getuid(), gid=os.getgid()).may_read_maps(pid)


@pytest.mark.root
def test_ids_that_stand_for_anybody_are_nobodys() -> None:
    """In a user namespace every id from outside looks like the overflow id."""
    overflow = int(Path("/proc/sys/kernel/overflowuid").read_text())
    prefix = ("setpriv", "--reuid", str(overflow), "--regid", str(overflow), "--clear-groups")
    with process(_WAIT, prefix) as pid:
        assert not Viewer(uid=overflow, gid=overflow).may_read_maps(pid)


def test_network_says_nothing_of_who_asks() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        served, _ = listener.accept()
        with client, served:
            assert peer_of(served) == ANYBODY


@pytest.mark.root
def test_socket_is_open_to_everybody_and_knows_who_they_are(tmp_path: Path) -> None:
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_mode & 0o005 != 0o005:
            directory.chmod(0o755)
    path = tmp_path / "vmad.sock"
    pairs = b"GET /api/v1/explain/7?pairs=true HTTP/1.0\r\n\r\n"
    without_ptrace = ["setpriv", "--inh-caps=-sys_ptrace", "--bounding-set=-sys_ptrace"]
    with serving(listen=f"unix:{path}") as address:
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        assert get(address, "/metrics").status == 200
        assert ask(path, b"GET /metrics HTTP/1.0\r\n\r\n", as_user(UID)).status == 200
        assert ask(path, pairs.replace(b"?pairs=true", b""), as_user(UID)).status == 200
        assert ask(path, pairs, as_user(UID)).status == 403
        assert ask(path, pairs, []).status == 200
        # root in a container, say
        assert ask(path, pairs, without_ptrace).status == 403

    assert not path.exists()


@pytest.mark.root
def test_root_of_this_host_needs_no_password_and_others_do(tmp_path: Path) -> None:
    from tests.unit.web.test_web_config import basic, hashed  # noqa: PLC0415

    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_mode & 0o005 != 0o005:
            directory.chmod(0o755)
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{ann: {hashed(b'sesame')}}}\n")
    path = tmp_path / "vmad.sock"
    request = b"GET /api/v1/explain/7?pairs=1 HTTP/1.0\r\n"
    header = b"Authorization: " + basic("ann", "sesame")["Authorization"].encode() + b"\r\n\r\n"
    with serving(web_config=str(tmp_path / "web.yml"), listen=f"unix:{path}"):
        assert ask(path, request + b"\r\n", as_user(UID)).status == 401
        assert ask(path, request + b"\r\n", []).status == 200
        assert ask(path, request + header, as_user(UID)).status == 200


def test_password_opens_addresses_over_the_network_and_nothing_else_does(tmp_path: Path) -> None:
    from tests.unit.web.test_web_config import basic, hashed  # noqa: PLC0415

    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{ann: {hashed(b'sesame')}}}\n")
    with serving(web_config=str(tmp_path / "web.yml")) as address:
        ann = basic("ann", "sesame")
        assert get(address, "/api/v1/explain/7?pairs=1", ann).status == 200
    with serving(SampleContent()) as address:
        refused = get(address, "/api/v1/explain/7?pairs=1")
        assert (refused.status, b"addresses" in refused.body) == (403, True)
        assert get(address, "/api/v1/explain/7").status == 200


def test_socket_of_a_program_that_was_killed_is_replaced_and_one_in_use_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "vmad.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    (first,) = bind_all([f"unix:{path}"])
    with first, pytest.raises(VmadError, match="another program listens there"):
        bind_all([f"unix:{path}"])
    path.unlink()
    path.write_text("no socket")
    with pytest.raises(VmadError, match="it is no socket"):
        bind_all([f"unix:{path}"])
    assert path.read_text() == "no socket"
    with pytest.raises(VmadError, match=r"No such file or directory; its directory must exist"):
        bind_all([f"unix:{tmp_path}/none/vmad.sock"])


def test_a_link_that_comes_while_a_socket_is_made_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a directory where others may write, against advice: its mode is of the socket alone."""
    path, secret = tmp_path / "vmad.sock", tmp_path / "secret"
    secret.touch(0o600)

    class Overtaken(socket.socket):
        def bind(self, where: object) -> None:
            super().bind(where)  # type: ignore[arg-type]
            path.rename(tmp_path / "moved")
            path.symlink_to(secret)

    monkeypatch.setattr("vmad.web.listen.socket.socket", Overtaken)
    before = os.umask(0o077)
    try:
        (bound,) = bind_all([f"unix:{path}"])
        with bound:
            assert (tmp_path / "moved").stat().st_mode & 0o777 == 0o666
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert secret.stat().st_mode & 0o777 == 0o600


def test_a_link_in_the_place_of_a_socket_is_neither_followed_nor_removed(tmp_path: Path) -> None:
    path, other = tmp_path / "vmad.sock", tmp_path / "other.sock"
    for target in (other, tmp_path / "file"):
        path.symlink_to(target)
        with pytest.raises(VmadError, match="cannot listen on"):
            bind_all([f"unix:{path}"])
        assert path.is_symlink()
        assert not target.exists()
        path.unlink()
