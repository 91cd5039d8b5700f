"""What can go wrong in a call of an AWS-like service."""

from __future__ import annotations


class ServiceError(Exception):
    """Base: the service refused the call or could not be asked."""


class ServiceRefused(ServiceError):
    """The service answered with an error. `code` is its type's name, e.g. `QueueDoesNotExist`."""

    def __init__(self, operation: str, code: str, message: str, status: int) -> None:
        super().__init__(f"{operation}: {code}: {message}" if message else f"{operation}: {code}")
        self.code = code
        self.message = message
        self.status = status


class ServiceUnavailable(ServiceError):
    """No answer: nothing listens, the connection broke, or time was up. What the call did is not known."""


class ConnectionClosed(ServiceUnavailable):
    """The other end closed the connection before it had answered."""


class NoCredentials(ServiceError):
    """There are no AWS credentials to sign with."""
