"""What happens in the demo: a picture is uploaded, and a queue hears of its thumbnail.

    upload -> bucket `pictures` -> object_store trigger -> function -> bucket `thumbnails`
                                                               `-> topic -> queue

Only boto3 is used, as against AWS; the trigger is made as `lightswitch trigger add object-store` makes it.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

import deploy.demo
from deploy.data_dir import DataDir
from deploy.demo.picture import draw
from deploy.demo.spans import Span
from deploy.endpoint import Endpoint
from deploy.errors import DeployError
from deploy.packaging import zip_folder
from deploy.rollout import FunctionSettings, defaults_of_new, roll_out

FUNCTION = "thumbnailer"
KEY = "holiday 2026/light bulb.jpg"
PATIENCE_SECONDS = 20.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ending:
    """What the queue was told, the thumbnail, and the demo's own steps."""

    message: dict[str, Any]
    thumbnail: bytes
    steps: list[Span]


class Story:
    """The demo over one running system."""

    def __init__(self, endpoint: Endpoint, local_aws_url: str, say: Say) -> None:
        self._endpoint = endpoint
        self._url = local_aws_url
        self._say = say

    def tell(self, account_id: str) -> Ending:
        """From empty services to the message. Raises DeployError, botocore's errors."""
        queue_url, topic_arn = self._prepare()
        self._deploy(account_id, topic_arn)
        self._add_trigger()
        uploaded = self._upload()
        message, heard = self._hear(queue_url)
        s3 = self._client("s3")
        thumbnail = s3.get_object(Bucket="thumbnails", Key=message["key"])["Body"].read()
        return Ending(message, thumbnail, [uploaded, heard])

    def _prepare(self) -> tuple[str, str]:
        """Two buckets, a topic, a queue that is subscribed to it."""
        s3, sns, sqs = self._client("s3"), self._client("sns"), self._client("sqs")
        for bucket in ("pictures", "thumbnails"):
            s3.create_bucket(Bucket=bucket)
        topic_arn = sns.create_topic(Name="thumbnails-made")["TopicArn"]
        queue_url = sqs.create_queue(QueueName="thumbnails-made")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"])
        self._say("made buckets pictures and thumbnails, topic and queue thumbnails-made")
        return str(queue_url), str(topic_arn)

    def _deploy(self, account_id: str, topic_arn: str) -> None:
        package = function_package()
        wanted = FunctionSettings(
            handler="app.handler",
            timeout_seconds=30,
            memory_mb=512,
            environment={"THUMBNAILS": "thumbnails", "TOPIC_ARN": topic_arn},
        )
        client = self._client("lambda", self._endpoint.url)
        roll_out(client, FUNCTION, {"ZipFile": package}, wanted, defaults_of_new(account_id))
        self._say(f"deployed function {FUNCTION} with Pillow in its package ({len(package) >> 10:,} KB)")

    def _add_trigger(self) -> None:
        settings = {"bucket": "pictures", "suffix": ".jpg", "scan_seconds": 0.5}
        document = {"kind": "object_store", "function": FUNCTION, "settings": settings}
        trigger = self._endpoint.send("POST", "/triggers", document)
        self._say(f"added an object-store trigger for pictures/*.jpg ({trigger['id']})")

    def _upload(self) -> Span:
        picture = draw()
        started = time.time_ns()
        self._client("s3").put_object(Bucket="pictures", Key=KEY, Body=picture, ContentType="image/jpeg")
        self._say(f"uploaded s3://pictures/{KEY} ({len(picture) >> 10:,} KB)")
        return Span("upload", started, time.time_ns())

    def _hear(self, queue_url: str) -> tuple[dict[str, Any], Span]:
        """Wait for what the topic passed on to the queue."""
        sqs, deadline = self._client("sqs"), time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            answer = sqs.receive_message(
                QueueUrl=queue_url, WaitTimeSeconds=1, AttributeNames=["SentTimestamp"]
            )
            for message in answer.get("Messages", ()):
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                about: dict[str, Any] = json.loads(json.loads(message["Body"])["Message"])
                self._say(f"the queue received: {about}")
                sent_ns = int(message["Attributes"]["SentTimestamp"]) * 1_000_000
                return about, Span("message in the queue", sent_ns, time.time_ns())
        raise DeployError(f"no message came in {PATIENCE_SECONDS:g} s; the function's log: {self._log()}")

    def _log(self) -> str:
        events = self._endpoint.get(f"/functions/{FUNCTION}/logs")["events"]
        return " | ".join(str(event) for event in events[-10:]) or "it did not run"

    def _client(self, service: str, url: str = "") -> Any:
        keys = self._endpoint.credentials
        return boto3.client(
            service,
            endpoint_url=url or self._url,
            region_name=self._endpoint.region,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            config=Config(proxies={}, retries={"total_max_attempts": 2}),
        )


def function_package() -> bytes:
    """The function's folder and Pillow, as it is installed here. Raises DeployError."""
    folder = Path(deploy.demo.__file__).parent / "function"
    package = io.BytesIO(zip_folder(folder))
    try:
        files = importlib.metadata.files("pillow") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise DeployError("the demo needs Pillow: pip install 'lightswitch[local]'") from error
    with zipfile.ZipFile(package, "a", zipfile.ZIP_STORED) as archive:
        for file in files:
            source = Path(str(file.locate()))
            if file.parts[0] in ("PIL", "pillow.libs") and file.suffix != ".pyc" and source.is_file():
                archive.write(source, str(file))
    return package.getvalue()


def place_of(data_dir: DataDir) -> str:
    """The local services' address. Raises DeployError."""
    system = data_dir.running()
    if system is None or not system.local_aws_url:
        raise DeployError(f"no system with local services runs on {data_dir.path}")
    return system.local_aws_url
