"""The demo's own judgement, picture and timeline."""

from __future__ import annotations

import io
import zipfile

import pytest
from PIL import Image

from deploy.demo.__main__ import check
from deploy.demo.picture import draw, in_half_blocks, size_of
from deploy.demo.spans import Span, timeline
from deploy.demo.story import Ending, function_package
from deploy.errors import DeployError


def png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (255, 0, 0)).save(out, "PNG")
    return out.getvalue()


def test_the_demo_fails_where_the_thumbnail_is_not_what_the_message_says() -> None:
    check(Ending({"to": [64, 48]}, png(64, 48), []))
    with pytest.raises(DeployError, match="pixels"):
        check(Ending({"to": [64, 48]}, png(32, 24), []))
    with pytest.raises(DeployError, match="pixels"):
        check(Ending({"to": [640, 480]}, png(640, 480), []))


def test_a_picture_is_shown_with_two_pixels_to_a_character() -> None:
    shown = in_half_blocks(png(4, 4), columns=4)

    assert shown.count("▀") == 8
    assert len(shown.splitlines()) == 2
    assert "38;2;255;0;0;48;2;255;0;0" in shown


def test_the_uploaded_picture_is_one() -> None:
    assert size_of(draw()) == (1280, 960)


def test_the_package_brings_pillow_along() -> None:
    names = zipfile.ZipFile(io.BytesIO(function_package())).namelist()

    assert "app.py" in names
    assert "PIL/__init__.py" in names


def test_a_timeline_shows_when_each_step_was() -> None:
    lines = timeline([Span("upload", 0, 10_000_000), Span("handler", 30_000_000, 40_000_000)]).splitlines()

    assert lines[0].split()[:5] == ["upload", "0.0", "ms", "10.0", "ms"]
    assert lines[1].split()[:5] == ["handler", "30.0", "ms", "10.0", "ms"]
    assert lines[0].count("█") == lines[1].count("█") == 10
    assert lines[1].index("█") > lines[0].index("█")
