# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The picture as SVG, for a report: words and legend are text, the lines of VMAs are images."""

from __future__ import annotations

import base64
import struct
import zlib
from html import escape

import numpy as np
import numpy.typing as npt

from vmad.export.picture.modes import Mode
from vmad.export.picture.picture import Scene
from vmad.export.picture.regions import dense_regions
from vmad.export.picture.strips import Strip, amounts_between, strip_of
from vmad.export.quantities import count, percent, size

#: CSS pixels; images have twice as many
WIDTH, LINE, HEAD, GAP, LEGEND = 1160, 10, 20, 24, 24
_SHARPNESS = 2
#: lines of all regions, and pixels per unit of width at most
_LINES, _WIDEST = 60, 24.0
_GROUND = np.array([255.0, 255.0, 255.0])
_MARGIN = 20


def svg_document(scene: Scene, title: str, note: str) -> str:
    """All of it as one drawing, ``WIDTH`` wide, in the first of its colourings."""
    blocks, mode = scene.blocks, scene.modes[0]
    strips = [strip_of(blocks.rows, region) for region in dense_regions(blocks.rows)]
    scale = _fitting(strips)
    parts: list[str] = []
    y = 58
    for number, strip in enumerate(strips):
        if number:
            y += GAP
        y = _draw(parts, scene, strip, scale, y)
    y = _legend(parts, mode, len(blocks.rows), y + 26)
    width = WIDTH + 2 * _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" '
        f'height="{y}" font-family="system-ui, DejaVu Sans, sans-serif" font-size="12" '
        f'role="img"><title>{escape(title)}</title>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        f'<text x="{_MARGIN}" y="28" font-size="18" font-weight="600" fill="#1b2027">'
        f'{escape(title)}</text><text x="{_MARGIN}" y="46" fill="#5b6572">{escape(note)}</text>'
        f"{''.join(parts)}</svg>\n"
    )


def _fitting(strips: list[Strip]) -> float:
    low, high = 1e-7, _WIDEST
    if sum(_lines(strip, high) for strip in strips) <= _LINES:
        return high
    for _ in range(50):
        middle = (low * high) ** 0.5
        fits = sum(_lines(strip, middle) for strip in strips) <= _LINES + len(strips)
        low, high = (middle, high) if fits else (low, middle)
    return low


def _own_scale(strip: Strip, scale: float) -> float:
    return max(scale, min(12.0, WIDTH / strip.units))


def _lines(strip: Strip, scale: float) -> int:
    return max(1, int(np.ceil(strip.units * _own_scale(strip, scale) / WIDTH - 1e-6)))


def _draw(parts: list[str], scene: Scene, strip: Strip, scale: float, y: int) -> int:
    region, rows = strip.region, scene.blocks.rows
    extent = int(rows["end"][region.stop - 1] - rows["start"][region.first])
    number = region.stop - region.first
    if region.first:
        gap = int(rows["start"][region.first] - rows["end"][region.first - 1])
        parts.append(
            f'<text x="{_MARGIN + WIDTH / 2}" y="{y - GAP / 2 + 6}" text-anchor="middle" '
            f'fill="#5b6572" font-size="11">{size(gap)} unmapped</text>'
        )
    vmas = "1 VMA" if number == 1 else f"{count(number)} VMAs"
    parts.append(
        f'<text x="{_MARGIN}" y="{y + 14}" fill="#5b6572"><tspan font-weight="600" fill="#1b2027">'
        f"{escape(region.label)}</tspan>  {vmas}, {size(extent)}, from "
        f"0x{int(rows['start'][region.first]):x}</text>"
    )
    y += HEAD
    image = _image(scene, strip, _own_scale(strip, scale))
    height = image.shape[0] / _SHARPNESS
    parts.append(
        f'<image x="{_MARGIN}" y="{y}" width="{WIDTH}" height="{height:g}" '
        f'href="data:image/png;base64,{base64.b64encode(png(image)).decode()}"/>'
    )
    return y + int(height)


def _image(scene: Scene, strip: Strip, scale: float) -> npt.NDArray[np.uint8]:
    """height × width × 3: the mean colour of what each pixel holds."""
    blocks, mode = scene.blocks, scene.modes[0]
    region = slice(strip.region.first, strip.region.stop)
    of_row = mode.of_row[region]
    palette = np.array([_rgb(entry.colours.light) for entry in mode.entries])
    colours = palette[of_row]
    apart = np.array([entry.apart for entry in mode.entries])[of_row]
    closed = apart & (blocks.rows["perms"][region] & 2 == 0)
    colours[closed] += (_GROUND - colours[closed]) * 0.42
    fine = scale * _SHARPNESS
    lines = max(1, int(np.ceil(strip.units * scale / WIDTH - 1e-6)))
    width = WIDTH * _SHARPNESS
    edges = np.arange(lines * width + 1) / fine
    pixels = np.empty((lines * width, 3))
    wide = strip.right - strip.left
    covered = amounts_between(edges, strip, wide) * fine
    for channel in range(3):
        pixels[:, channel] = amounts_between(edges, strip, wide * colours[:, channel]) * fine
        pixels[:, channel] += _GROUND[channel] * (1 - np.minimum(covered, 1))
    strokes = wide * fine >= 4
    at = np.minimum((strip.left[strokes] * fine).astype(int), len(pixels) - 1)
    pixels[at] = np.where(apart[strokes][:, None], colours[strokes] * 0.8, _GROUND)
    picture = np.full((lines, LINE * _SHARPNESS, width, 3), 255, np.uint8)
    drawn = np.clip(pixels, 0, 255).astype(np.uint8).reshape(lines, 1, width, 3)
    picture[:, : (LINE - 1) * _SHARPNESS] = drawn
    return picture.reshape(lines * LINE * _SHARPNESS, width, 3)


def _rgb(colour: str) -> list[float]:
    return [float(int(colour[at : at + 2], 16)) for at in (1, 3, 5)]


def png(image: npt.NDArray[np.uint8]) -> bytes:
    """height × width × 3 as PNG (ISO/IEC 15948: signature, IHDR, IDAT, IEND)."""
    height, width, _ = image.shape
    # each line begins with its filter: none
    lines = np.concatenate(
        (np.zeros((height, 1), np.uint8), image.reshape(height, width * 3)), axis=1
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", head),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def _legend(parts: list[str], mode: Mode, total: int, y: int) -> int:
    for entry in mode.entries:
        if not entry.vmas:
            continue
        share = percent(entry.vmas / total)
        parts.append(
            f'<rect x="{_MARGIN}" y="{y - 10}" width="12" height="12" rx="3" '
            f'fill="{entry.colours.light}"/><text x="{_MARGIN + 20}" y="{y}" fill="#1b2027">'
            f'<tspan font-weight="600">{count(entry.vmas)}</tspan> {escape(entry.title)} '
            f'<tspan fill="#5b6572">{escape(share)}</tspan></text>'
        )
        y += LEGEND
    return y
