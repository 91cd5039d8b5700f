"""What an event source mapping is told: all parameters for queues, streams and topics, with AWS's rules.

Rules that need more than the parameters (does the function exist, what does the queue say of itself) are
the Lambda API's, which makes these settings.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from triggers.queues.kafka.address import bootstrap_servers

Service = Literal["sqs", "dynamodb", "kafka"]
StartingPosition = Literal["", "LATEST", "TRIM_HORIZON"]

FIFO_BATCH_SIZE = 10
UNWINDOWED_BATCH_SIZE = 10
MOST_FILTERS = 10
"""AWS's default is five; its quota can be raised to ten."""
MOST_TAGS = 50
_DEFAULT_BATCH_SIZE = {"sqs": 10, "dynamodb": 100, "kafka": 100}
_SOURCES = {
    "sqs": re.compile(r"arn:[a-z-]+:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}(\.fifo)?"),
    "dynamodb": re.compile(r"arn:[a-z-]+:dynamodb:[a-z0-9-]+:\d{12}:table/[A-Za-z0-9_.-]+/stream/.+"),
}


class MappingSettings(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Parameters of one mapping, named as the Lambda API's, with units. Raises ValueError in AWS's words.

    Source: the Lambda developer guide's pages on parameters of SQS, DynamoDB and self-managed Kafka sources.
    -1 stands for "no bound", as in the API; 0 for `batch_size` means the source's default. A cluster of Kafka
    has no ARN, but `bootstrap_servers`.
    """

    event_source_arn: str = ""
    batch_size: int = 0
    maximum_batching_window_seconds: int = 0
    filters: tuple[str, ...] = ()
    """Event patterns, as JSON text; a record passes that one of them matches."""
    report_batch_item_failures: bool = False
    tags: dict[str, str] = {}

    # Queues
    maximum_concurrency: int | None = None

    # Streams
    starting_position: StartingPosition = ""
    parallelization_factor: int = 1
    maximum_record_age_seconds: int = -1
    maximum_retry_attempts: int = -1
    bisect_batch_on_function_error: bool = False
    tumbling_window_seconds: int = 0
    on_failure: str = ""
    """ARN of a queue, topic, function or bucket that is told of batches that were given up."""

    # Kafka
    bootstrap_servers: tuple[str, ...] = ()
    topic: str = ""
    consumer_group: str = ""

    def __post_init__(self) -> None:
        service = self.service
        if self.batch_size == 0:
            msgspec.structs.force_setattr(self, "batch_size", _DEFAULT_BATCH_SIZE[service])
        _check_range("BatchSize", self.batch_size, 1, 10_000)
        _check_range("MaximumBatchingWindowInSeconds", self.maximum_batching_window_seconds, 0, 300)
        if len(self.filters) > MOST_FILTERS:
            raise ValueError(f"A mapping has at most {MOST_FILTERS} filters, this one {len(self.filters)}.")
        if len(self.tags) > MOST_TAGS:
            raise ValueError("Number of tags exceeds resource tag limit.")
        match service:
            case "sqs":
                self._check_queue()
            case "dynamodb":
                self._check_stream()
            case "kafka":
                self._check_topic()

    @property
    def service(self) -> Service:
        """What kind of source it is. Raises ValueError where there is no reader for it."""
        return "kafka" if self.bootstrap_servers else _service(self.event_source_arn)

    @property
    def source(self) -> str:
        """What a function can have only once: the ARN, or a topic with its servers."""
        return self.event_source_arn or f"{','.join(self.bootstrap_servers)}/{self.topic}"

    @property
    def cluster_url(self) -> str:
        """Of a mapping whose service is `kafka`, as queue triggers name it."""
        return f"kafka://{','.join(self.bootstrap_servers)}"

    @property
    def source_region(self) -> str:
        return self.event_source_arn.split(":")[3]

    @property
    def source_account(self) -> str:
        return self.event_source_arn.split(":")[4]

    @property
    def queue_name(self) -> str:
        """Of a mapping whose service is `sqs`."""
        return self.event_source_arn.split(":", 5)[5]

    @property
    def is_fifo(self) -> bool:
        """Whether the source is a queue that keeps the order of its message groups."""
        return self.service == "sqs" and self.event_source_arn.endswith(".fifo")

    def _check_queue(self) -> None:
        refuse_parameters("SQS", self._stream_parameters())
        if self.maximum_concurrency is not None:
            _check_range("MaximumConcurrency", self.maximum_concurrency, 2, 1000)
        if self.is_fifo:
            self._check_fifo_queue()
        elif self.batch_size > UNWINDOWED_BATCH_SIZE and not self.maximum_batching_window_seconds:
            raise ValueError(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater"
                f" than {UNWINDOWED_BATCH_SIZE}"
            )

    def _check_fifo_queue(self) -> None:
        if self.maximum_batching_window_seconds:
            raise ValueError("Batching window is not supported for FIFO queues")
        if self.batch_size > FIFO_BATCH_SIZE:
            raise ValueError(
                f"Batch size {self.batch_size} is more than a FIFO queue allows, which is {FIFO_BATCH_SIZE}"
            )

    def _check_topic(self) -> None:
        given = {*self._stream_parameters()} - {"StartingPosition"}
        refuse_parameters("self-managed Apache Kafka", [*sorted(given), *self._scaling()])
        self._check_position()
        if self.event_source_arn:
            raise ValueError("EventSourceArn and SelfManagedEventSource exclude each other.")
        if not self.topic:
            raise ValueError("Topics must name the topic of the self-managed Apache Kafka event source.")
        bootstrap_servers(self.cluster_url)

    def _check_position(self) -> None:
        if not self.starting_position:
            raise ValueError(
                "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint:"
                " Member must not be null."
            )

    def _scaling(self) -> list[str]:
        return ["ScalingConfig"] if self.maximum_concurrency is not None else []

    def _check_stream(self) -> None:
        refuse_parameters("DynamoDB", self._scaling())
        self._check_position()
        _check_range("ParallelizationFactor", self.parallelization_factor, 1, 10)
        _check_range("MaximumRecordAgeInSeconds", self.maximum_record_age_seconds, -1, 604_800)
        _check_range("MaximumRetryAttempts", self.maximum_retry_attempts, -1, 10_000)
        _check_range("TumblingWindowInSeconds", self.tumbling_window_seconds, 0, 900)
        if 0 <= self.maximum_record_age_seconds < 60:
            raise ValueError("MaximumRecordAgeInSeconds must be -1 (no bound) or at least 60 seconds")

    def _stream_parameters(self) -> list[str]:
        """Those that are set and that only streams have."""
        given = {
            "StartingPosition": self.starting_position != "",
            "ParallelizationFactor": self.parallelization_factor != 1,
            "MaximumRecordAgeInSeconds": self.maximum_record_age_seconds != -1,
            "MaximumRetryAttempts": self.maximum_retry_attempts != -1,
            "BisectBatchOnFunctionError": self.bisect_batch_on_function_error,
            "TumblingWindowInSeconds": self.tumbling_window_seconds != 0,
            "DestinationConfig": self.on_failure != "",
        }
        return [name for name, is_given in given.items() if is_given]


def refuse_parameters(source: str, names: list[str]) -> None:
    """Raises ValueError where `names`, parameters that do not fit the kind of source, has any."""
    if names:
        raise ValueError(
            f"Unsupported parameters for an event source of the type {source}: {', '.join(names)}"
        )


def _service(event_source_arn: str) -> Service:
    """Raises ValueError for a source that there is no reader for."""
    for service, pattern in _SOURCES.items():
        if pattern.fullmatch(event_source_arn):
            return service  # type: ignore[return-value]
    raise ValueError(
        "Unrecognized event source, must be an SQS queue, a DynamoDB stream or self-managed Kafka (Kinesis,"
        f" MSK, Amazon MQ and DocumentDB are not supported yet). Unsupported source arn {event_source_arn}"
    )


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} must be between {least} and {most}, not {value}")
