"""The picture that is uploaded, and how a picture is shown in a terminal."""

from __future__ import annotations

import io
import math

from PIL import Image, ImageDraw

SIZE = (1280, 960)


def draw() -> bytes:
    """A lit bulb in the evening, as JPEG."""
    width, height = SIZE
    picture = Image.new("RGB", SIZE)
    pen = ImageDraw.Draw(picture)
    for y in range(height):
        share = y / height
        pen.line((0, y, width, y), (int(24 + 120 * share), int(28 + 50 * share), int(86 + 20 * share)))
    middle, top = (width // 2, height * 2 // 5), 210
    for step in (step for step in range(24) if step != 6):  # rays, but for the one behind the base
        angle = step * math.pi / 12
        pen.line((*_at(middle, angle, 270), *_at(middle, angle, 400 - 60 * (step % 2))), (255, 214, 90), 14)
    pen.ellipse(_around(middle, top), (255, 226, 110), (255, 250, 220), 12)
    base = middle[1] + top - 20
    pen.rounded_rectangle((middle[0] - 90, base, middle[0] + 90, base + 150), 24, (150, 156, 170))
    for thread in range(base + 40, base + 148, 36):
        pen.line((middle[0] - 90, thread, middle[0] + 90, thread - 10), (90, 96, 110), 10)
    filament = [(middle[0] - 80 + 40 * n, middle[1] + (40 if n % 2 else -30)) for n in range(5)]
    pen.line(filament, (235, 120, 30), 14, "curve")
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def in_half_blocks(content: bytes, columns: int = 64) -> str:
    """Lines of 24-bit colour for a terminal: each character shows two pixels, one above the other."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    rows = max(2, round(picture.height * columns / picture.width / 2) * 2)
    shown = picture.resize((columns, rows))
    lines = (
        "".join(_cell(_pixel(shown, x, y), _pixel(shown, x, y + 1)) for x in range(columns))
        for y in range(0, rows, 2)
    )
    return "\n".join(f"{line}\033[0m" for line in lines)


def size_of(content: bytes) -> tuple[int, int]:
    """Width and height. Raises where it is no picture."""
    return Image.open(io.BytesIO(content)).size


def _cell(upper: tuple[int, int, int], lower: tuple[int, int, int]) -> str:
    return "\033[38;2;{};{};{};48;2;{};{};{}m▀".format(*upper, *lower)


def _pixel(picture: Image.Image, x: int, y: int) -> tuple[int, int, int]:
    value = picture.getpixel((x, y))
    assert isinstance(value, tuple)
    return (int(value[0]), int(value[1]), int(value[2]))


def _at(middle: tuple[int, int], angle: float, radius: float) -> tuple[float, float]:
    return (middle[0] + math.cos(angle) * radius, middle[1] + math.sin(angle) * radius)


def _around(middle: tuple[int, int], radius: int) -> tuple[int, int, int, int]:
    return (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)
