# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``growing.py bytearrays | lists``: CPython objects that grow in turn, checked; as programs.c.

A program of its own, run without vmad.
"""

import random
import select
import sys
from typing import Any

KIND = sys.argv[1]
NUMBER, GROWN = (1500, 20) if KIND == "bytearrays" else (400, 20)
STEP = 16 << 10
pick = random.Random(1)
PATTERN = bytes(pick.randrange(256) for _ in range(STEP + 256))


def grow_bytes(number: int, bytes_: bytearray) -> None:
    """Append what is known of this place."""
    bytes_ += PATTERN[number % 256 : number % 256 + STEP]


def right_bytes(number: int, bytes_: bytearray) -> bool:
    """Whether it is all still there."""
    piece = PATTERN[number % 256 : number % 256 + STEP]
    return bytes_ == piece * (len(bytes_) // STEP)


def grow_list(number: int, values: list[int]) -> None:
    """Append what is known of this place."""
    for _ in range(3000):
        values.append(number * 1000 + len(values))


def right_list(number: int, values: list[int]) -> bool:
    """Whether it is all still there."""
    length = len(values)
    return sum(values) == number * 1000 * length + length * (length - 1) // 2


made: Any
grow: Any
right: Any
made, grow, right = (
    (bytearray, grow_bytes, right_bytes) if KIND == "bytearrays" else (list, grow_list, right_list)
)
objects: list[Any] = [made() for _ in range(NUMBER)]
for _ in range(GROWN):
    for number, each in enumerate(objects):
        grow(number, each)
print("ready", flush=True)
sys.stdin.readline()
rounds = wrong = 0
print(rounds, wrong, flush=True)
while True:
    number = pick.randrange(NUMBER)
    wrong += not right(number, objects[number])
    if pick.randrange(30) == 0:
        objects[number] = made()
    grow(number, objects[number])
    rounds += 1
    if select.select([sys.stdin], [], [], 0)[0]:
        if not sys.stdin.readline():
            break
        print(rounds, wrong, flush=True)
