# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a running daemon knows: of itself, of one process its growth, of all what failed."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from vmad.errors import VmadError

# what an answer is taken apart by is imported once there is one: mostly nobody answers
if TYPE_CHECKING:
    from vmad.model.failures import FailureTally
    from vmad.model.process import ProcessId
    from vmad.scan.bursts import Burst
    from vmad.scan.growth import Watched

DEFAULT_ADDRESS = "127.0.0.1:19797"
#: seconds
_TIMEOUT = 5.0


class NoDaemon(VmadError):
    """No vmad daemon answers at an address, or not with what is asked for."""


def watched(process: ProcessId, address: str = DEFAULT_ADDRESS) -> Watched:
    """What the daemon at ``address`` (HOST:PORT, plain HTTP) knows of ``process``.

    Raises NoDaemon.
    """
    try:
        processes = _asked(address, "/api/v1/scan")["processes"]
        from vmad.scan.growth import Watched  # noqa: PLC0415

        for process_object in processes:
            if (process_object["pid"], process_object["start_time"]) == process:
                keys = ("high_water", "rate", "group", "seconds_to_limit")
                return Watched(*map(process_object.get, keys))
    except (KeyError, TypeError) as error:
        raise NoDaemon(f"{address} does not answer as a vmad daemon does") from error
    raise NoDaemon(f"the daemon at {address} has not scanned process {process.pid}")


def failed_at_limit(address: str = DEFAULT_ADDRESS) -> FailureTally:
    """The failures at the limit that the daemon at ``address`` has counted. Raises NoDaemon."""
    document = _asked(address, "/api/v1/failures")
    from vmad.export.failures_json import SCHEMA, tally_of  # noqa: PLC0415

    try:
        if document["schema"] == SCHEMA:
            return tally_of(document)
    except (KeyError, TypeError, ValueError) as error:
        raise NoDaemon(f"{address} does not answer as a vmad daemon does") from error
    raise NoDaemon(f"the daemon at {address} is of another version")


def daemon_itself(address: str = DEFAULT_ADDRESS) -> dict[str, Any]:
    """How the daemon at ``address`` does, schema vmad.daemon/1. Raises NoDaemon."""
    from vmad.export.daemon_json import SCHEMA as DAEMON_SCHEMA  # noqa: PLC0415  for one command

    document = _asked(address, "/api/v1/daemon")
    if isinstance(document, dict) and document.get("schema") == DAEMON_SCHEMA:
        return document
    raise NoDaemon(f"the daemon at {address} is of another version")


def bursts_over(address: str = DEFAULT_ADDRESS) -> list[Burst]:
    """The bursts that are over of which the daemon at ``address`` knows. Raises NoDaemon."""
    document = _asked(address, "/api/v1/bursts")
    from vmad.export.bursts_json import SCHEMA as BURSTS_SCHEMA  # noqa: PLC0415
    from vmad.export.bursts_json import bursts_from  # noqa: PLC0415

    try:
        if document["schema"] == BURSTS_SCHEMA:
            return bursts_from(document)
    except (KeyError, TypeError, ValueError) as error:
        raise NoDaemon(f"{address} does not answer as a vmad daemon does") from error
    raise NoDaemon(f"the daemon at {address} is of another version")


def _asked(address: str, path: str) -> Any:
    host, _, port = address.rpartition(":")
    try:
        connected = socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT)
    except OSError as error:
        raise _silent(address, error) from error
    # mostly nobody answers; and what it imports takes a third of the time that numpy's import does
    import http.client  # noqa: PLC0415

    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT)
    connection.sock = connected
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise NoDaemon(f"{address} answers {response.status} {response.reason}")
        return json.loads(response.read())
    except OSError as error:
        raise _silent(address, error) from error
    except (http.client.HTTPException, ValueError) as error:
        raise NoDaemon(f"{address} does not answer as a vmad daemon does") from error
    finally:
        connection.close()


def _silent(address: str, error: OSError) -> NoDaemon:
    text = error.strerror or str(error)
    return NoDaemon(f"no daemon answers at {address}: {text}", "`vmad serve`")
