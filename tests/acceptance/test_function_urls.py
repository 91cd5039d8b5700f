"""Function URLs: made with boto3, called by a plain HTTP client."""

from __future__ import annotations

import base64
import http.client
import importlib.util
import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.acceptance.functions import reserved
from tests.acceptance.test_streaming import BOOTSTRAP
from tests.deployment_packages import package
from tests.live_system import LiveSystem

GUESTS = Path(__file__).parent / "guests"
NAME, STREAMER = "with-url", "streams-to-url"
INTEGRATION = "application/vnd.awslambda.http-integration-response"


class Client:
    """Plain HTTP to one function URL, one connection for each request; closed with its answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._parts = urlsplit(url)

    def send(
        self, method: str = "GET", path: str = "", body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """The response, its body still to be read."""
        connection = http.client.HTTPConnection(self._parts.netloc, timeout=20)
        connection.request(
            method, self._parts.path + path, body or None, {**(headers or {}), "Connection": "close"}
        )
        return connection.getresponse()

    def json(self, *request: Any, **more: Any) -> Any:
        answer = self.send(*request, **more)
        assert answer.status == 200
        return json.loads(answer.read())

    def do(self, wish: Any, **more: Any) -> http.client.HTTPResponse:
        return self.send(
            "POST", "do", json.dumps(wish).encode(), {"Content-Type": "application/json"}, **more
        )


def open_to_all(system: LiveSystem, name: str, **more: Any) -> None:
    system.client.add_permission(
        FunctionName=name,
        StatementId="public",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
        **more,
    )


@pytest.fixture(scope="module")
def system(shared_system: LiveSystem) -> Iterator[LiveSystem]:
    code = (GUESTS / "url_handler.py").read_bytes()
    shared_system.deploy(NAME, package({"app.py": code}))
    open_to_all(shared_system, NAME)
    shared_system.deploy(
        STREAMER, package({"bootstrap": BOOTSTRAP}), runtime="provided.al2023", timeout_seconds=3
    )
    open_to_all(shared_system, STREAMER)
    yield shared_system
    for name in (NAME, STREAMER):
        shared_system.client.delete_function(FunctionName=name)


@pytest.fixture(scope="module")
def client(system: LiveSystem) -> Client:
    made = system.client.create_function_url_config(FunctionName=NAME, AuthType="NONE")
    return Client(made["FunctionUrl"])


@pytest.fixture(scope="module")
def streamer(system: LiveSystem) -> Client:
    made = system.client.create_function_url_config(
        FunctionName=STREAMER, AuthType="NONE", InvokeMode="RESPONSE_STREAM"
    )
    return Client(made["FunctionUrl"])


@pytest.fixture
def deployed(system: LiveSystem, function_name: str) -> Iterator[str]:
    system.deploy(function_name, package({"app.py": (GUESTS / "url_handler.py").read_bytes()}))
    yield function_name
    system.client.delete_function(FunctionName=function_name)


@pytest.mark.usefixtures("running_system")
class TestConfigurations:
    def test_a_url_is_made_read_changed_and_taken_away(self, system: LiveSystem, deployed: str) -> None:
        lambda_ = system.client
        made = lambda_.create_function_url_config(FunctionName=deployed, AuthType="AWS_IAM")
        assert (made["AuthType"], made["InvokeMode"]) == ("AWS_IAM", "BUFFERED")
        cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 60}
        changed = lambda_.update_function_url_config(
            FunctionName=deployed, Cors=cors, InvokeMode="RESPONSE_STREAM"
        )
        read = lambda_.get_function_url_config(FunctionName=deployed)
        assert read["Cors"] == changed["Cors"] == cors
        assert (read["FunctionUrl"], read["InvokeMode"]) == (made["FunctionUrl"], "RESPONSE_STREAM")
        listed = lambda_.list_function_url_configs(FunctionName=deployed)["FunctionUrlConfigs"]
        assert [one["FunctionUrl"] for one in listed] == [made["FunctionUrl"]]
        lambda_.delete_function_url_config(FunctionName=deployed)
        with pytest.raises(ClientError, match="does not exist"):
            lambda_.get_function_url_config(FunctionName=deployed)
        assert Client(made["FunctionUrl"]).send().status == 404

    def test_a_second_url_is_a_conflict(self, system: LiveSystem, client: Client) -> None:
        with pytest.raises(ClientError, match="FunctionUrlConfig exists") as conflict:
            system.client.create_function_url_config(FunctionName=NAME, AuthType="NONE")
        assert conflict.value.response["Error"]["Code"] == "ResourceConflictException"

    def test_an_alias_has_a_url_and_a_policy_of_its_own(self, system: LiveSystem, deployed: str) -> None:
        system.client.publish_version(FunctionName=deployed)
        system.client.create_alias(FunctionName=deployed, Name="live", FunctionVersion="1")
        made = system.client.create_function_url_config(
            FunctionName=deployed, Qualifier="live", AuthType="NONE"
        )
        assert made["FunctionArn"].endswith(f":{deployed}:live")
        assert Client(made["FunctionUrl"]).send().status == 403
        open_to_all(system, deployed, Qualifier="live")
        assert Client(made["FunctionUrl"]).json()["rawPath"] == "/"


@pytest.mark.usefixtures("running_system")
class TestEvents:
    def test_the_event_has_payload_format_2(self, client: Client) -> None:
        headers = {"Content-Type": "text/plain", "Cookie": "a=1; b=2", "User-Agent": "plain", "X-Two": "2"}
        event = client.json("POST", "some/p%20th?x=1&x=2&y=%20", body="höi".encode(), headers=headers)
        assert (event["version"], event["routeKey"]) == ("2.0", "$default")
        assert (event["rawPath"], event["rawQueryString"]) == ("/some/p%20th", "x=1&x=2&y=%20")
        assert event["queryStringParameters"] == {"x": "1,2", "y": " "}
        assert (event["cookies"], event["headers"]["x-two"]) == (["a=1", "b=2"], "2")
        assert (event["body"], event["isBase64Encoded"]) == ("höi", False)
        context = event["requestContext"]
        assert context["http"]["method"] == "POST"
        assert context["http"]["sourceIp"] == "127.0.0.1"
        assert context["http"]["userAgent"] == "plain"
        assert context["apiId"] in client.url

    def test_bytes_arrive_as_base64(self, client: Client) -> None:
        event = client.json("PUT", body=bytes(range(256)))
        assert event["isBase64Encoded"] is True
        assert base64.b64decode(event["body"]) == bytes(range(256))

    def test_a_host_name_of_its_own_leads_there_too(self, system: LiveSystem, client: Client) -> None:
        url_id = client.url.rstrip("/").rpartition("/")[2]
        event = Client(system.url + "/").json(
            path="a/b", headers={"Host": f"{url_id}.lambda-url.us-east-1.example.org"}
        )
        assert event["rawPath"] == "/a/b"
        assert event["requestContext"]["domainPrefix"] == url_id


@pytest.mark.usefixtures("running_system")
class TestResponses:
    def test_status_headers_cookies_and_bytes_are_the_function_s(self, client: Client) -> None:
        body = base64.b64encode(b"\x00\xff").decode()
        answer = client.do(
            {
                "return": {
                    "statusCode": 418,
                    "headers": {"X-Kind": "tea"},
                    "cookies": ["a=1", "b=2"],
                    "body": body,
                    "isBase64Encoded": True,
                }
            }
        )
        assert (answer.status, answer.headers["x-kind"]) == (418, "tea")
        assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]
        assert answer.read() == b"\x00\xff"

    @pytest.mark.parametrize("result", [{"a": 1}, [1, 2], 7])
    def test_a_result_that_is_no_response_is_the_json_body(self, client: Client, result: Any) -> None:
        answer = client.do({"return": result})
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert json.loads(answer.read()) == result

    def test_a_head_request_has_no_body(self, client: Client) -> None:
        answer = client.send("HEAD")
        assert (answer.status, answer.read()) == (200, b"")
        assert int(answer.headers["content-length"]) > 0

    @pytest.mark.parametrize("wish", [{"raise": "secret"}, {"return": {"statusCode": "many"}}])
    def test_a_function_s_error_is_502_and_tells_nothing(self, client: Client, wish: Any) -> None:
        answer = client.do(wish)
        assert answer.status == 502
        assert b"secret" not in answer.read()

    def test_above_the_reserved_concurrency_is_429(self, system: LiveSystem, client: Client) -> None:
        with reserved(system, NAME, 0):
            assert client.send().status == 429
        assert client.send().status == 200

    def test_a_body_above_the_limit_is_413(self, client: Client) -> None:
        assert client.send("POST", body=b"x" * 6_291_457).status == 413
        assert client.send("POST", body=b"x" * 5_000_000).status == 413  # over the limit in base64
        assert client.send("POST", body=b"x" * 4_000_000).status == 200


@pytest.mark.usefixtures("running_system")
class TestAccess:
    def test_without_a_statement_nobody_gets_in(self, system: LiveSystem, deployed: str) -> None:
        made = system.client.create_function_url_config(FunctionName=deployed, AuthType="NONE")
        answer = Client(made["FunctionUrl"]).send()
        assert (answer.status, answer.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
        assert json.loads(answer.read())["Message"].startswith("Forbidden. For troubleshooting")
        system.client.add_permission(
            FunctionName=deployed, StatementId="other", Action="lambda:InvokeFunction", Principal="*"
        )
        assert Client(made["FunctionUrl"]).send().status == 403
        open_to_all(system, deployed)
        assert Client(made["FunctionUrl"]).send().status == 200
        system.client.remove_permission(FunctionName=deployed, StatementId="public")
        assert Client(made["FunctionUrl"]).send().status == 403

    def test_aws_iam_wants_a_signature(self, system: LiveSystem, deployed: str) -> None:
        made = system.client.create_function_url_config(FunctionName=deployed, AuthType="AWS_IAM")
        url, client = made["FunctionUrl"] + "a?b=c", Client(made["FunctionUrl"])
        unsigned = client.send("POST", "a?b=c")
        assert (unsigned.status, unsigned.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
        request = AWSRequest("POST", url, data=b"hello", headers={"Content-Type": "text/plain"})
        keys = Credentials(system.endpoint.access_key, system.endpoint.secret_key)
        SigV4Auth(keys, "lambda", system.endpoint.region).add_auth(request)
        event = client.json("POST", "a?b=c", body=b"hello", headers=dict(request.headers))
        assert event["requestContext"]["authorizer"]["iam"]["accessKey"] == system.endpoint.access_key
        assert client.send("POST", "a?b=c", b"other", dict(request.headers)).status == 403

    def test_an_unknown_url_is_not_found(self, system: LiveSystem) -> None:
        assert Client(f"{system.url}/lightswitch/url/{'a' * 32}/").send().status == 404


@pytest.mark.usefixtures("running_system")
class TestCors:
    @pytest.fixture
    def shared(self, system: LiveSystem, deployed: str) -> Client:
        open_to_all(system, deployed)
        cors = {
            "AllowOrigins": ["https://a.example"],
            "AllowMethods": ["GET", "POST"],
            "AllowHeaders": ["x-one"],
            "ExposeHeaders": ["x-kind"],
            "MaxAge": 60,
            "AllowCredentials": True,
        }
        made = system.client.create_function_url_config(FunctionName=deployed, AuthType="NONE", Cors=cors)
        return Client(made["FunctionUrl"])

    def test_a_preflight_is_answered_without_the_function(self, shared: Client) -> None:
        asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        answer = shared.send("OPTIONS", headers=asks)
        assert (answer.status, answer.read()) == (200, b"")
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        assert answer.headers["access-control-allow-methods"] == "GET,POST"
        assert answer.headers["access-control-allow-headers"] == "x-one"
        assert answer.headers["access-control-max-age"] == "60"
        assert answer.headers["access-control-allow-credentials"] == "true"

    @pytest.mark.parametrize(
        "asks",
        [
            {"Origin": "https://b.example", "Access-Control-Request-Method": "POST"},
            {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"},
        ],
    )
    def test_a_preflight_from_elsewhere_permits_nothing(self, shared: Client, asks: dict[str, str]) -> None:
        answer = shared.send("OPTIONS", headers=asks)
        assert answer.status == 200
        assert "access-control-allow-origin" not in answer.headers

    def test_responses_carry_the_configuration_in_place_of_the_function_s(self, shared: Client) -> None:
        result = {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}, "body": ""}
        body, headers = json.dumps({"return": result}).encode(), {"Content-Type": "application/json"}
        allowed = shared.send("POST", "do", body, {**headers, "Origin": "https://a.example"})
        assert allowed.headers.get_all("access-control-allow-origin") == ["https://a.example"]
        assert allowed.headers["access-control-expose-headers"] == "x-kind"
        other = shared.send("POST", "do", body, {**headers, "Origin": "https://b.example"})
        assert "access-control-allow-origin" not in other.headers

    def test_errors_may_be_read_by_who_may_read_answers(self, shared: Client) -> None:
        headers = {"Content-Type": "application/json", "Origin": "https://a.example"}
        failed = shared.send("POST", "do", b'{"raise": "x"}', headers)
        assert failed.status == 502
        assert failed.headers["access-control-allow-origin"] == "https://a.example"


@pytest.mark.usefixtures("running_system")
class TestStreams:
    def ask(self, streamer: Client, event: dict[str, Any]) -> http.client.HTTPResponse:
        headers = {"Content-Type": "application/json"}
        return streamer.send("POST", body=json.dumps(event).encode(), headers=headers)

    def test_bytes_come_while_the_function_runs(self, streamer: Client) -> None:
        signal_file = Path("/var/tmp") / f"signal-{uuid.uuid4().hex}"
        try:
            answer = self.ask(streamer, {"write": ["early ", "late"], "wait_for": str(signal_file)})
            assert answer.read(6) == b"early "
            signal_file.touch()
            assert answer.read() == b"late"
        finally:
            signal_file.unlink(missing_ok=True)

    def test_the_prelude_sets_status_headers_and_cookies(self, streamer: Client) -> None:
        prelude = {"statusCode": 203, "headers": {"X-Kind": "stream"}, "cookies": ["a=1"]}
        answer = self.ask(
            streamer, {"type": INTEGRATION, "write": [json.dumps(prelude), "\0" * 5, "\0" * 3 + "bo", "dy"]}
        )
        assert (answer.status, answer.headers["x-kind"]) == (203, "stream")
        assert answer.headers["set-cookie"] == "a=1"
        assert answer.read() == b"body"

    def test_a_status_without_a_body_has_none(self, streamer: Client) -> None:
        answer = self.ask(streamer, {"type": INTEGRATION, "write": ['{"statusCode":204}', "\0" * 8 + "x"]})
        assert (answer.status, answer.read()) == (204, b"")

    def test_a_stream_without_a_prelude_is_the_body(self, streamer: Client) -> None:
        answer = self.ask(streamer, {"type": "text/csv", "write": ["a,b"]})
        assert (answer.status, answer.headers["content-type"], answer.read()) == (200, "text/csv", b"a,b")

    @pytest.mark.parametrize(
        "event", [{"error": "no"}, {"exit": 3}, {"type": INTEGRATION, "write": ["{nonsense" + "\0" * 8]}]
    )
    def test_a_failure_before_the_head_is_502(self, streamer: Client, event: dict[str, Any]) -> None:
        assert self.ask(streamer, event).status == 502

    def test_a_stream_that_breaks_off_has_no_end(self, streamer: Client) -> None:
        answer = self.ask(streamer, {"write": ["begun"], "fail": "half way"})
        assert answer.status == 200
        with pytest.raises(http.client.IncompleteRead) as broken:
            answer.read()
        assert broken.value.partial == b"begun"


@pytest.mark.usefixtures("running_system")
def test_an_asgi_application_runs_under_mangum(system: LiveSystem, function_name: str) -> None:
    files = {"app.py": (GUESTS / "asgi_handler.py").read_bytes(), **installed("mangum")}
    files |= installed("typing_extensions")
    system.deploy(function_name, package(files))
    open_to_all(system, function_name)
    made = system.client.create_function_url_config(FunctionName=function_name, AuthType="NONE")
    answer = Client(made["FunctionUrl"]).send("PUT", "x/y?q=1", b"body", {"Content-Type": "text/plain"})
    assert (answer.status, answer.read()) == (201, b"PUT /x/y?q=1 body")
    assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]
    system.client.delete_function(FunctionName=function_name)
    assert Client(made["FunctionUrl"]).send().status == 404


def installed(module: str) -> dict[str, bytes]:
    """The files of an installed pure Python module, as `pip install --target` puts them."""
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    origin = Path(found.origin)
    if origin.name != "__init__.py":
        return {origin.name: origin.read_bytes()}
    root = origin.parent
    return {str(path.relative_to(root.parent)): path.read_bytes() for path in root.rglob("*.py")}
