"""Answers with the body that it got, as a function behind a function URL does."""


def handler(event: dict[str, object], context: object) -> object:
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": event["body"]}
