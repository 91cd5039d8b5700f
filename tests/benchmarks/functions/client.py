"""Imports boto3 and makes a client while it is initialised; ends its environment after each answer: each call
starts cold."""

import os
import sys
import threading

AHEAD = "boto3" in sys.modules

import boto3  # noqa: E402

CLIENT = boto3.client("s3")
LAST_WORD_SECONDS = 0.01


def handler(event: object, context: object) -> object:
    threading.Timer(LAST_WORD_SECONDS, os._exit, (0,)).start()
    return AHEAD
