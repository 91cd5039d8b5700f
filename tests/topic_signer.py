"""An SNS for tests: its own authority, a certificate to sign with, an HTTPS server that serves both."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from triggers.topics.messages import TopicMessage, string_to_sign

TOPIC = "arn:aws:sns:us-east-1:123456789012:news"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(
    name: str, key: rsa.RSAPrivateKey, issuer: str, issuer_key: rsa.RSAPrivateKey, *, days: int = 1
) -> bytes:
    """A PEM for `name` (also as DNS name), from an hour ago for some days; its own issuer is an authority."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
    )
    if name != issuer:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    made = builder.sign(issuer_key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


class Signer:
    """Signs messages as a topic does."""

    def __init__(self) -> None:
        self.key = new_key()
        self.certificate = certificate("sns.test", self.key, "topics", self.key)

    def sign(self, certificate_url: str, *, version: str = "1", **fields: str) -> bytes:
        """The body of a post; `fields` are the message's, a Notification by default."""
        document: dict[str, Any] = {
            "Type": "Notification",
            "MessageId": "m-1",
            "TopicArn": TOPIC,
            "Message": "hello",
            "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "SignatureVersion": version,
            "Signature": "",
            "SigningCertURL": certificate_url,
            **fields,
        }
        signed = string_to_sign(msgspec.convert(document, TopicMessage))
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = self.key.sign(signed, padding.PKCS1v15(), algorithm)
        return json.dumps({**document, "Signature": base64.b64encode(signature).decode()}).encode()


class TopicServer:
    """HTTPS on loopback under the name `localhost`; keeps the paths that were asked for.

    `/certificate.pem` is the signer's, `/redirect` leads there, everything else answers 200.
    """

    def __init__(self, directory: Path, signer: Signer) -> None:
        self.asked: list[str] = []
        self._directory = directory
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                path = urlsplit(self.path).path
                self.send_response(302 if path == "/redirect" else 200)
                if path == "/redirect":
                    self.send_header("Location", f"{server.url}/certificate.pem")
                body = signer.certificate if path == "/certificate.pem" else b"<ok/>"
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._identity)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.host = f"localhost:{self._server.server_port}"
        self.url = f"https://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @cached_property
    def _identity(self) -> Path:
        authority, own = new_key(), new_key()
        self.ca_file = str(self._directory / "ca.pem")
        Path(self.ca_file).write_bytes(certificate("authority", authority, "authority", authority))
        private = own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        identity = self._directory / "server.pem"
        identity.write_bytes(private + certificate("localhost", own, "authority", authority))
        return identity

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
