"""What is wrong with a container image."""

from __future__ import annotations


class ImageRefused(Exception):
    """The image cannot be used; the message says what is wrong with it, for whoever deploys it."""
