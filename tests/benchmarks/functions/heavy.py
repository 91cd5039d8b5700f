"""Takes its time to be initialised, and ends its environment after each answer: each call starts cold."""

import os
import threading

import boto3

CLIENTS = [boto3.client(service) for service in ("s3", "dynamodb", "sqs", "ec2")]
LAST_WORD_SECONDS = 0.01

RUNS = 0


def handler(event: object, context: object) -> object:
    global RUNS
    RUNS += 1
    threading.Timer(LAST_WORD_SECONDS, os._exit, (0,)).start()
    return {"runs": RUNS}
