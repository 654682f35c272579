import gzip
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import Delayed, DeliveryFailed, Gone, Rejected, Unauthorized, Unknown
from chalicelib.kit import http as http_module
from chalicelib.kit import wire
from chalicelib.kit.http import Http, checked, redacted
from tests.standins.server import Answer, Call, Standin

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "headers.json").read_text())
NOW = 1_788_264_000.0


class Echo(Standin):
    """Tells what it got; `/blob/<bytes>` answers that many."""

    def reset(self) -> None:
        self.connections = 0

    def state(self) -> Any:
        return self.connections

    def opened(self, client: socket.socket) -> None:
        super().opened(client)
        self.connections += 1

    def answer(self, call: Call) -> Answer:
        if call.path.startswith("/blob/"):
            return Answer(200, b'"' + b"x" * (int(call.path[6:]) - 2) + b'"')
        if call.path == "/gzip":
            return Answer(200, gzip.compress(b"{}" + b" " * 10_000_000), {"Content-Encoding": "gzip"})
        if call.path.startswith("/called-gzip/"):
            return Answer(200, call.path.rpartition("/")[2].encode(), {"Content-Encoding": "gzip"})
        told = {"method": call.method, "path": call.path, "query": call.query, "headers": call.headers}
        return Answer(200, {**told, "body": call.body.decode()}, {"Set-Cookie": "sid=1; Path=/"})


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as running:
        yield running
    wire.close_all()


def http(echo: Echo, **options: Any) -> Http:
    return Http(**{"base_url": echo.url, "allow_private": True, "clock": lambda: NOW, **options})


def failure(call: Any, *arguments: Any, **options: Any) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as failed:
        call(*arguments, **options)
    return failed.value


def test_a_request_arrives_as_it_was_meant(echo: Echo) -> None:
    client = http(echo, base_url=f"{echo.url}/api/", headers={"Authorization": "Bearer t"})
    reply = client.request("POST", "/notes", json={"a": "ü"}, params={"q": "a b&c"}, headers={"X-Extra": "1"})
    told = reply.json()
    assert (told["method"], told["path"], told["query"]) == ("POST", "/api/notes", {"q": "a b&c"})
    assert json.loads(told["body"]) == {"a": "ü"}
    headers = told["headers"]
    assert headers["authorization"] == "Bearer t"
    assert headers["x-extra"] == "1"
    assert headers["content-type"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    assert headers["host"] == f"127.0.0.1:{echo.port}"


def test_a_body_goes_byte_for_byte(echo: Echo) -> None:
    assert http(echo).request("PUT", "/x", body=b'{"a": 1 }').json()["body"] == '{"a": 1 }'


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, Rejected),
        (302, Rejected),
        (304, Rejected),
        (307, Rejected),
        (400, Rejected),
        (401, Unauthorized),
        (403, Rejected),
        (404, Rejected),
        (408, Delayed),
        (409, Rejected),
        (410, Gone),
        (413, Rejected),
        (418, Rejected),
        (422, Rejected),
        (423, Delayed),
        (425, Delayed),
        (429, Delayed),
        (500, Delayed),
        (501, Delayed),
        (502, Delayed),
        (503, Delayed),
        (504, Delayed),
        (599, Delayed),
    ],
)
def test_each_status_has_one_outcome(echo: Echo, status: int, kind: type[DeliveryFailed]) -> None:
    echo.behave("status", status=status, headers={"Retry-After": "42", "Location": echo.url})
    failed = failure(http(echo).request, "POST", "/x", json={})
    assert type(failed) is kind
    assert failed.reason == f"HTTP {status} from 127.0.0.1"
    assert len(echo.calls) == 0
    if isinstance(failed, Delayed):
        assert failed.retry_after == 42


def test_a_destination_declares_otherwise_or_asks_for_the_status(echo: Echo) -> None:
    echo.behave("status", status=403)
    assert isinstance(failure(http(echo, outcomes={403: Unauthorized}).request, "GET"), Unauthorized)
    assert http(echo).request("GET", allow=(403,)).status == 403


def test_a_vendors_own_code_says_more_than_the_status(echo: Echo) -> None:
    echo.behave("status", status=400, headers={"Retry-After": "42"}, body={"code": 7, "text": "of jan@example.nl"})
    out = http(echo, secrets={"token": ("s3cr3t-token",)})
    reply = out.request("POST", json={}, allow=(400,))
    assert reply.told() == {"code": 7, "text": "of jan@example.nl"}
    plain, slower = out.failure(reply), out.failure(reply, Delayed, "too fast")
    assert (type(plain), plain.reason) == (Rejected, "HTTP 400 from 127.0.0.1")
    assert (type(slower), slower.reason) == (Delayed, "HTTP 400 from 127.0.0.1: too fast")
    assert "jan@example.nl" not in plain.excerpt + slower.excerpt
    asked = [getattr(out.failure(reply, Delayed, "", after), "retry_after", None) for after in (None, 0, 5.0)]
    assert asked == [42, 0, 5.0]


def test_a_refusal_that_is_not_json_says_nothing(echo: Echo) -> None:
    echo.behave("status", status=400, body="<html>s3cr3t-token</html>")
    out = http(echo, secrets={"token": ("s3cr3t-token",)})
    reply = out.request("POST", json={}, allow=(400,))
    assert reply.told() is None
    assert out.failure(reply).excerpt == "<html>[secret]</html>"


@pytest.mark.parametrize("mode", ["drop", "reset", "truncate"])
def test_what_fails_after_sending_is_unknown(echo: Echo, mode: str) -> None:
    http(echo).request("GET")
    echo.behave(mode)
    assert type(failure(http(echo).request, "POST", "/x", json={})) is Unknown


@pytest.mark.parametrize(("mode", "delay"), [("dribble", 0.05), ("slow", 2.0)])
def test_one_deadline_covers_everything(echo: Echo, mode: str, delay: float) -> None:
    echo.behave(mode, delay=delay)
    failed = failure(http(echo, deadline=0.3).request, "POST", "/x", json={})
    assert type(failed) is Unknown
    assert "deadline" in failed.reason or "timed out" in failed.reason


def test_a_kept_connection_that_dies_with_the_request_on_it_is_unknown(echo: Echo) -> None:
    client = http(echo)
    client.request("POST", "/x", json={})
    echo.behave("drop", times=1)
    assert type(failure(client.request, "POST", "/x", json={})) is Unknown
    assert len(echo.calls) == 2
    assert client.request("POST", "/x", json={}).status == 200


def test_a_connection_closed_meanwhile_is_made_anew(echo: Echo) -> None:
    client = http(echo)
    client.request("GET")
    echo.refuse(None)
    echo.accept()
    assert client.request("GET").status == 200


def test_connections_are_kept(echo: Echo) -> None:
    for _ in range(20):
        http(echo).request("GET")
    assert echo.connections == 1


def test_the_pool_of_connections_is_bounded(echo: Echo) -> None:
    for number in range(wire.MAX_ADAPTERS + 5):
        http(echo, base_url=f"http://h{number}.example:{echo.port}", resolve=lambda *_: ["127.0.0.1"]).request("GET")
    assert len(wire._adapters) == wire.MAX_ADAPTERS


def test_a_refused_connection_is_delayed(echo: Echo) -> None:
    echo.refuse(None)
    failed = failure(http(echo).request, "POST", "/x", json={})
    assert type(failed) is Delayed
    assert "cannot be reached" in failed.reason


def test_a_refusal_cut_short_is_still_that_refusal(echo: Echo) -> None:
    class Short(Echo):
        def answer(self, call: Call) -> Answer:
            return Answer(400, {"message": "bad"})

    with Short() as short:
        short.behave("truncate")
        assert type(failure(http(short).request, "POST", "/x", json={})) is Rejected


def test_redirects_are_never_followed(echo: Echo) -> None:
    with Echo() as target:
        echo.behave("status", status=302, headers={"Location": target.url})
        assert type(failure(http(echo).request, "GET")) is Rejected
        assert target.calls == []


def test_encoded_answers_are_not_inflated(echo: Echo) -> None:
    reply = http(echo).request("GET", "/gzip")
    assert (reply.status, reply.body, reply.truncated) == (200, b"", True)
    assert type(failure(reply.json)) is Unknown


@pytest.mark.parametrize("body", ["7", "{}", '{"a":[1,2,3]}', ""])
def test_a_plain_answer_that_is_called_gzip_is_read(echo: Echo, body: str) -> None:
    reply = http(echo).request("GET", f"/called-gzip/{body}")
    assert (reply.body, reply.truncated) == (body.encode(), False)
    assert not body or reply.json() == json.loads(body)


def test_answers_are_read_up_to_a_megabyte(echo: Echo) -> None:
    assert len(http(echo).request("GET", f"/blob/{http_module.MAX_ANSWER}").json()) == http_module.MAX_ANSWER - 2
    over = http(echo).request("GET", f"/blob/{50 * http_module.MAX_ANSWER}")
    assert len(over.body) == http_module.MAX_ANSWER
    assert type(failure(over.json)) is Unknown


@pytest.mark.parametrize("body", ["<html>fine</html>", "", "[" * 100_000, '{"a": NaN}'])
def test_a_success_that_is_not_json_is_unknown(echo: Echo, body: str) -> None:
    echo.behave("lie", body=body.encode())
    assert type(failure(http(echo).request("GET").json)) is Unknown


def test_nothing_of_the_environment_is_used(echo: Echo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("NO_PROXY", raising=False)
    first, second = (http(echo).request("GET").json() for _ in range(2))
    assert "authorization" not in first["headers"]
    assert "cookie" not in second["headers"]


def test_the_judged_address_is_the_one_connected_to(echo: Echo) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    client = http(echo, base_url=f"http://CRM.example:{echo.port}", resolve=resolve)
    assert client.request("GET").json()["headers"]["host"] == f"crm.example:{echo.port}"
    assert asked == ["crm.example"]
    failed = failure(client.request, "GET")
    assert type(failed) is Rejected
    assert "169.254.169.254" in failed.reason
    assert len(echo.calls) == 1


def test_the_next_address_is_tried_when_nothing_was_sent(echo: Echo) -> None:
    client = http(echo, base_url=f"http://crm.example:{echo.port}", resolve=lambda *_: ["127.0.0.2", "127.0.0.1"])
    assert client.request("POST", "/x", json={}).status == 200


def test_private_addresses_are_refused_by_default(echo: Echo) -> None:
    for base in (
        echo.url,
        f"http://localhost:{echo.port}",
        f"http://2130706433:{echo.port}",
        f"http://[::1]:{echo.port}",
    ):
        assert type(failure(Http(base_url=base).request, "GET")) is Rejected
    assert echo.calls == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://a.example/",
        "file:///etc/passwd",
        "//a.example/",
        "http:///x",
        "https://user:secret@a.example/",
        "https://a.example:99999/",
        "https://[::1/",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_safe_web_address_is_refused(url: str) -> None:
    failed = failure(Http(base_url=url, resolve=lambda *_: ["93.184.216.34"]).request, "GET")
    assert type(failed) is Rejected
    assert "secret" not in failed.reason


def test_plain_http_leaves_only_for_local_tests_or_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"public.example": "93.184.216.34", "local.example": "127.0.0.1"}
    monkeypatch.setattr(wire, "exchange", lambda *_: (418, {}, b""))

    def ask(host: str, **options: Any) -> str:
        client = Http(f"http://{host}", allow_private=True, resolve=lambda name, _: [answers[name]], **options)
        return failure(client.request, "GET").reason

    assert "plain http" in ask("public.example")
    assert ask("public.example", allow_plain=True) == "HTTP 418 from public.example"
    assert ask("local.example") == "HTTP 418 from local.example"


@pytest.mark.parametrize(("name", "value"), VECTORS["refused"])
def test_hostile_headers_are_refused(echo: Echo, name: str, value: str) -> None:
    assert type(failure(http(echo).request, "GET", headers={name: value})) is Rejected
    assert echo.calls == []


@pytest.mark.parametrize(("name", "value"), VECTORS["allowed"])
def test_harmless_headers_pass(echo: Echo, name: str, value: str) -> None:
    assert checked({name: value}) == {name: value}
    assert http(echo).request("GET", headers={name: value}).status == 200


def test_refusals_are_shown_without_secrets_and_people(echo: Echo) -> None:
    body = "no: key s3cr3t-value, Bearer abcdefghijk, token=zzzzzzzzzz, jan@example.nl\n or +31 6 1234 5678\x00 ok"
    echo.behave("status", status=422, body=body)
    client = http(echo, secrets={"access_token": ("s3cr3t-value",)}, headers={"Authorization": "Bearer s3cr3t-value"})
    excerpt = failure(client.request, "GET").excerpt
    for hidden in ("s3cr3t", "abcdefghijk", "zzzz", "jan@", "1234"):
        assert hidden not in excerpt
    assert excerpt.startswith("no: key [secret], Bearer [secret]")
    assert excerpt.endswith("ok")
    assert len(redacted(b"a b " * 1000)) == http_module.EXCERPT


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, chalicelib.kit.http, chalicelib.destinations as d; [d.load(s) for s in d.slugs()];"
    code += "print([m for m in ('requests','urllib3','cryptography') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """(certificate, key) files for crm.example, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "crm.example")])
    begin = datetime.now(UTC) - timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(days=30))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("crm.example")]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    made = made.add_extension(usage, critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signed = made.add_extension(identifier, critical=False).sign(key, hashes.SHA256())
    folder = tmp_path_factory.mktemp("tls")
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(signed.public_bytes(pem))
    encoded = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(encoded)
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.fixture
def secure(certificate: tuple[str, str]) -> Iterator[tuple[int, list[str]]]:
    """(port, server names asked for) of a TLS server that answers 204 to whatever comes."""
    names: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.sni_callback = lambda _, name, __: names.append(name)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                try:
                    with context.wrap_socket(client, server_side=True) as wrapped:
                        asked = b""
                        while not asked.endswith(b"{}"):  # what is left unread would reset the connection
                            asked += wrapped.recv(65536)
                        wrapped.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                except OSError:
                    continue

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    yield listener.getsockname()[1], names
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    serving.join(5)
    wire.close_all()


def test_tls_asks_for_the_name_and_checks_it(secure: tuple[int, list[str]], certificate: tuple[str, str]) -> None:
    port, names = secure

    def ask(host: str, bundle: str) -> int:
        client = Http(f"https://{host}:{port}", allow_private=True, resolve=lambda *_: ["127.0.0.1"], ca_bundle=bundle)
        return client.request("POST", "/x", json={}).status

    assert ask("crm.example", certificate[0]) == 204
    assert names == ["crm.example"]
    for host, bundle in (("other.example", certificate[0]), ("crm.example", "")):
        failed = failure(ask, host, bundle)
        assert type(failed) is Delayed
        assert "certificate verify failed" in failed.reason, failed.reason


def test_a_failure_tells_what_was_asked_and_no_value_of_it(echo: Echo) -> None:
    echo.behave("status", status=422)
    client = http(echo, secrets={"api_key": ("s3cret-of-ours",)})
    told = {"contact": {"email": "jan@example.nl", "name": "Jan", "vip": True, "tags": ["a", "b"], "age": 41}}
    said = failure(client.request, "POST", "/x/jan@example.nl/s3cret-of-ours", json=told, params={"q": "Jan"}).request
    assert said.startswith("POST /x/[mail]/[secret] ")
    assert json.loads(said.partition(" /x/[mail]/[secret] ")[2]) == {
        "contact": {"email": "…", "name": "…", "vip": True, "tags": ["…", "…"], "age": "…"}
    }
    allowed = client.request("GET", "/y", allow=(422,))
    assert client.failure(allowed, Rejected).request == "GET /y"
    formed = failure(client.request, "POST", "/z", body=b"To=%2B31612345678&Body=Jan").request
    assert formed == "POST /z To=…&Body=…"
    assert failure(client.request, "PUT", "/blob", body=b"\xff\x00Jan").request == "PUT /blob"
    away = failure(http(echo, base_url="http://127.0.0.1:9").request, "GET", "/gone")
    assert isinstance(away, Delayed) and away.request == "GET /gone"


def test_what_a_request_told_of_the_system_and_that_one_we_refused_to_make_tells_nothing(echo: Echo) -> None:
    told: list[int] = []
    watched = {"watched": lambda seconds, status: told.append(status)}
    http(echo, **watched).request("POST")
    for mode, options in (("drop", {}), ("status", {"status": 503})):
        echo.behave(mode, **options)
        failure(http(echo, **watched).request, "POST", "/x", json={})
        echo.behave()
    assert told == [200, 0, 503]
    for base_url, private in (("ftp://example.nl", True), (echo.url, False)):
        refused = Http(base_url, allow_private=private, watched=watched["watched"])
        assert isinstance(failure(refused.request, "POST"), Rejected)
    assert told == [200, 0, 503], "a forbidden address is no system that is down"
