"""Answers what it got."""


def handler(event: object, context: object) -> object:
    return event
