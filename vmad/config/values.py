# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Values as they are written in the configuration: how each is read, and what is allowed."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from vmad.config.template import NameTemplate

T = TypeVar("T")

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,24})?"
_DURATION_PART = re.compile(rf"({_NUMBER})(ms|s|m|h)")
_DURATION = re.compile(rf"{_NUMBER}|(?:{_NUMBER}(?:ms|s|m|h))+")


class Form(ABC, Generic[T]):
    """One way to write a value. ``read`` and ``write`` undo each other."""

    @property
    @abstractmethod
    def allowed(self) -> str:
        """What a person may write, to follow "allowed: "."""

    @abstractmethod
    def read(self, text: str) -> T:
        """The value of a scalar's text, quoted or not.

        Raises ValueError for what is not allowed; its message, if any, says more than
        ``allowed`` does.
        """

    @abstractmethod
    def write(self, value: T) -> str | int | bool:
        """The value as it would stand in a file."""


@dataclass(frozen=True, slots=True)
class Duration(Form[float]):
    """Seconds, written "15s", "1m30s", "250ms" or as a bare number of seconds."""

    low: float
    high: float
    zero_disables: bool = False

    @property
    def allowed(self) -> str:
        span = f"a duration from {_duration(self.low)} to {_duration(self.high)}"
        off = " (or 0 to switch it off)" if self.zero_disables else ""
        return f"{span}{off} such as 15s"

    def read(self, text: str) -> float:
        if _DURATION.fullmatch(text) is None:
            raise ValueError
        parts = _DURATION_PART.findall(text)
        seconds = sum(float(n) * _UNITS[unit] for n, unit in parts) if parts else float(text)
        if not (self.low <= seconds <= self.high or (seconds == 0 and self.zero_disables)):
            raise ValueError
        return seconds

    def write(self, value: float) -> str | int:
        return _duration(value) if value else 0


def _duration(seconds: float) -> str:
    if seconds != int(seconds):
        return f"{seconds!r}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if n]
    return "".join(parts) or "0s"


@dataclass(frozen=True, slots=True)
class Share(Form[float]):
    """A share of one core as a ratio, written "1%" or 0.01.

    A bare 1 is refused: half of those who write it mean one per cent.
    """

    low: float

    @property
    def allowed(self) -> str:
        return f"from {self.low:.2%} to 100% of one core, as a percentage or below 1 (0.01)"

    def read(self, text: str) -> float:
        if re.fullmatch(rf"{_NUMBER} ?%", text):
            value = float(text[:-1]) / 100
            above = value > 1
        elif re.fullmatch(_NUMBER, text):
            value = float(text)
            above = value >= 1
        else:
            raise ValueError
        if value < self.low or above:
            raise ValueError
        return value

    def write(self, value: float) -> str:
        percent = f"{value * 100:g}"
        return f"{percent}%" if float(percent) / 100 == value else repr(value)


_SIZES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
# 16 digits: 1,048,576 GiB in bytes
_SIZE = re.compile(r"([0-9]{1,16}(?:\.[0-9]{1,24})?) ?(|KiB|MiB|GiB)")


@dataclass(frozen=True, slots=True)
class Size(Form[int]):
    """Bytes, written "256MiB" or as a bare number of bytes. 0 switches off."""

    high: int

    @property
    def allowed(self) -> str:
        return f"a size up to {self.write(self.high)} (or 0 to switch it off) such as 256MiB"

    def read(self, text: str) -> int:
        match = _SIZE.fullmatch(text)
        if match is None:
            raise ValueError
        value = float(match[1]) * _SIZES[match[2]]
        if value > self.high or value != int(value):
            raise ValueError
        return int(value)

    def write(self, value: int) -> str | int:
        for unit in ("GiB", "MiB", "KiB"):
            if value and value % _SIZES[unit] == 0:
                return f"{value // _SIZES[unit]}{unit}"
        return value


@dataclass(frozen=True, slots=True)
class Integer(Form[int]):
    """A whole number; ``_`` may part its digits."""

    low: int
    high: int

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def read(self, text: str) -> int:
        if re.fullmatch(r"[0-9][0-9_]{0,18}", text) is None:
            raise ValueError
        value = int(text.replace("_", ""))
        if not self.low <= value <= self.high:
            raise ValueError
        return value

    def write(self, value: int) -> int:
        return value


class Switch(Form[bool]):
    """On or off, in the words of YAML 1.1."""

    allowed = "true or false"

    def read(self, text: str) -> bool:
        lower = text.lower()
        if lower not in ("true", "yes", "on", "false", "no", "off"):
            raise ValueError
        return lower in ("true", "yes", "on")

    def write(self, value: bool) -> bool:
        return value


@dataclass(frozen=True, slots=True)
class Choice(Form[str]):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return "one of " + ", ".join(self.words)

    def read(self, text: str) -> str:
        if text not in self.words:
            raise ValueError
        return text

    def write(self, value: str) -> str:
        return value


class Regex(Form["re.Pattern[str] | None"]):
    """A Python regular expression; it must match the whole of what it is held against."""

    allowed = "a regular expression"

    def read(self, text: str) -> re.Pattern[str]:
        try:
            return re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(str(error)) from error

    def write(self, value: re.Pattern[str] | None) -> str:
        return "" if value is None else value.pattern


class Template(Form[NameTemplate]):
    """A group's name, see :mod:`vmad.config.template`."""

    allowed = 'a name such as "web/{unit}"'

    def read(self, text: str) -> NameTemplate:
        return NameTemplate.parse(text)

    def write(self, value: NameTemplate) -> str:
        return value.text


class ListenAddress(NamedTuple):
    """Where to listen; an empty ``host`` means every address. ``path``: of a Unix socket."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Listen(Form[ListenAddress]):
    """HOST:PORT; an IPv6 address in brackets; port 0 takes a free one. Or unix:PATH."""

    allowed = "HOST:PORT such as 127.0.0.1:19797 or [::1]:19797, or unix:/run/vmad/vmad.sock"

    def read(self, text: str) -> ListenAddress:
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            # sun_path of struct sockaddr_un, unix(7)
            if not path.startswith("/") or "\0" in path or len(os.fsencode(path)) > 107:
                raise ValueError
            return ListenAddress("", 0, path)
        match = re.fullmatch(r"(?:\[([0-9a-fA-F:.%\w]+)\]|([\w.-]*)):([0-9]{1,5})", text, re.A)
        if match is None or int(match[3]) > 0xFFFF:
            raise ValueError
        return ListenAddress(match[1] or match[2] or "", int(match[3]))

    def write(self, value: ListenAddress) -> str:
        return str(value)


class HostName(Form[str]):
    """A name by which clients reach this host; with a dot before it, all names that end so."""

    allowed = "a host name such as db7.example.net, or .example.net for all that end so"

    def read(self, text: str) -> str:
        if re.fullmatch(r"\.?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*", text) is None or len(text) > 253:
            raise ValueError
        return text.lower()

    def write(self, value: str) -> str:
        return value


class TargetName(Form[str]):
    """What a guest is called in labels and addresses."""

    allowed = "a name of letters, digits, and . _ - between them, at most 63"

    def read(self, text: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", text) is None:
            raise ValueError
        return text

    def write(self, value: str) -> str:
        return value


class FilePath(Form[str]):
    """The absolute path of a file or socket."""

    allowed = "an absolute path"

    def read(self, text: str) -> str:
        if not text.startswith("/") or "\0" in text:
            raise ValueError
        return text

    def write(self, value: str) -> str:
        return value
