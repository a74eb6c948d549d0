"""The admin port's HTTP server: what is no request is refused with a reason, and everything is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from raftlog.admin.http import BODY_MAX, HEAD_MAX, HttpRequest, HttpResponse, HttpServer
from raftlog.testing.local_cluster import free_ports

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


async def echo(request: HttpRequest) -> HttpResponse:
    """Answer with what was understood of the request."""
    body = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "bytes": len(request.body),
    }
    return HttpResponse(200, body)


def talk(conversation: Talk, *, request_timeout_s: float = 20.0) -> bytes:
    """Hold a conversation with a server that echoes."""

    async def run() -> bytes:
        (port,) = free_ports(1)
        server = HttpServer(f"127.0.0.1:{port}", echo, request_timeout_s=request_timeout_s)
        await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(20):
                return await conversation(reader, writer)
        finally:
            writer.close()
            await server.close()

    return asyncio.run(run())


def answers_to(data: bytes) -> bytes:
    """Send bytes and the end of the stream; return all that comes until the server closes the connection."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(data)
        writer.write_eof()
        return await reader.read()

    return talk(conversation)


def request(method: str = "GET", target: str = "/status", *headers: str, body: bytes = b"") -> bytes:
    """Return a request as it is sent."""
    lines = [f"{method} {target} HTTP/1.1", "Host: node", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def test_path_query_and_body_arrive_unquoted() -> None:
    answer = answers_to(request("PUT", "/kv/a%20b?expect=1&x=%2F", "Content-Length: 3", body=b"abc"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'{"method": "PUT", "path": "/kv/a b", "query": {"expect": "1", "x": "/"}, "bytes": 3}\n' in answer


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02" * 1000,
        b"GET\r\n\r\n",
        b"GET /status HTTP/1.1\r\n\r\n",  # no Host
        b"GET /status HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        request("PUT", "/kv/a", "Content-Length: many"),
        request("PUT", "/kv/a", "Content-Length: 3", "Content-Length: 4", body=b"abcd"),
        request("PUT", "/kv/a", "Transfer-Encoding: chunked", body=b"zz\r\nabc\r\n0\r\n\r\n"),
        request("GET", "/status", "No colon here"),
        request("GET", "//["),
    ],
    ids=["noise", "no-version", "no-host", "two-hosts", "length", "lengths", "chunk", "header", "target"],
)
def test_malformed_request_is_refused_and_the_connection_closed(data: bytes) -> None:
    answer = answers_to(data)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"Connection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1") == 1


def test_header_larger_than_the_bound_is_refused_before_its_end_has_come() -> None:
    answer = answers_to(request("GET", "/status", "X: " + "y" * 2 * HEAD_MAX)[:-4])
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("chunked", [False, True])
def test_body_larger_than_the_bound_is_refused(chunked: bool) -> None:
    size = BODY_MAX + 1
    if chunked:
        data = request("PUT", "/kv/a", "Transfer-Encoding: chunked", body=b"%x\r\n" % size + b"x" * size)
    else:
        data = request("PUT", "/kv/a", f"Content-Length: {size}")
    assert answers_to(data).startswith(b"HTTP/1.1 413 ")


def test_chunked_body_is_put_together() -> None:
    chunks = b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
    assert b'"bytes": 7' in answers_to(request("PUT", "/kv/a", "Transfer-Encoding: chunked", body=chunks))


def test_pipelined_requests_are_answered_in_order_on_one_connection() -> None:
    answer = answers_to(b"".join(request("GET", f"/{number}") for number in range(20)))
    assert answer.count(b"HTTP/1.1 200 OK") == 20
    assert [answer.index(b'"path": "/%d"' % number) for number in range(20)] == sorted(
        answer.index(b'"path": "/%d"' % number) for number in range(20)
    )


def test_what_follows_a_malformed_request_is_not_answered() -> None:
    answer = answers_to(request("GET", "/1") + b"rubbish\r\n\r\n" + request("GET", "/2"))
    assert b'"path": "/1"' in answer
    assert b"400 Bad Request" in answer
    assert b'"path": "/2"' not in answer


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """Read one answer by its Content-Length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


def test_connection_is_kept_until_the_client_asks_to_close_it() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        for number in range(3):
            writer.write(request("GET", f"/{number}"))
            assert b"Connection: close" not in await read_answer(reader)
        writer.write(request("GET", "/last", "Connection: close"))
        return await reader.read()

    assert b'"path": "/last"' in talk(conversation)


def test_old_client_is_answered_and_its_connection_closed() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        return await reader.read()

    assert b"Connection: close\r\n" in talk(conversation)


def test_head_is_answered_without_a_body() -> None:
    answer = answers_to(request("HEAD"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")


def test_client_that_waits_for_leave_to_send_its_body_is_given_it() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(request("PUT", "/kv/a", "Content-Length: 3", "Expect: 100-continue"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(b"abc")
        return await read_answer(reader)

    assert b'"bytes": 3' in talk(conversation)


@pytest.mark.parametrize("begun", [b"", b"GET /status HTT", request("PUT", "/kv/a", "Content-Length: 3")])
def test_connection_on_which_no_whole_request_comes_is_closed_in_time(begun: bytes) -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(begun)
        return await reader.read()

    assert talk(conversation, request_timeout_s=0.05) == b""
