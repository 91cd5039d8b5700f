"""What is wrong with a filter pattern."""

from __future__ import annotations


class InvalidPattern(ValueError):
    """The pattern is not one of the pattern language; the text says where and why.

    It begins as the InvalidParameterValueException of AWS's CreateEventSourceMapping does.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid filter pattern definition. {reason}")
        self.reason = reason
