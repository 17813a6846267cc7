"""Send requests to a server over some connections for some seconds, and tell how long they took.

    python -m benchmarks.http_load http://127.0.0.1:8765 8 10 0 <requests.json

The numbers are connections, seconds, and how many requests there have to be at least. Standard
input holds a JSON list of [path, body]: each connection sends one after the other, the next when
the answer is there, from places of the list that are spread evenly. ``@`` in a body becomes another
number in every request, so that no event is a duplicate. Everything that is not 200 counts as
failed. It is a process of its own, on uvloop with a parser of ten lines, so that it takes little
from the server's cores: ``client_cpu_us`` tells how much for each request.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import uvloop

_HEAD = (
    b"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


class Connection(asyncio.Protocol):
    """One client: sends a request, waits for the answer, sends the next."""

    def __init__(self, requests: Iterator[bytes], end: float, least: float):
        self._requests, self._end, self._least = requests, end, least
        self.seconds: list[float] = []
        self.failed = 0
        self._answer = b""
        self.is_over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, _, body = self._answer.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"content-length:")
        if not length or len(body) < int(length.partition(b"\r\n")[0]):
            return
        now = time.perf_counter()
        self.seconds.append(now - self._began)
        self.failed += not head.startswith(b"HTTP/1.1 200")
        self._answer = b""
        if now < self._end or len(self.seconds) < self._least:
            self._send()
        else:
            self.is_over.set_result(None)
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.is_over.done():
            self.is_over.set_exception(error or ConnectionError("the server hung up"))


def messages(
    requests: Sequence[tuple[str, str]], host: str, start: int, numbers: Iterator[int]
) -> Iterator[bytes]:
    """Yield the requests as they go over the wire, for ever, from a place of the list."""
    for path, text in itertools.cycle([*requests[start:], *requests[:start]]):
        body = text.replace("@", str(next(numbers))).encode()
        yield _HEAD % (path.encode(), host.encode(), len(body)) + body


async def load(
    url: str,
    requests: Sequence[tuple[str, str]],
    connections: int,
    seconds: float,
    least: float = 0,
) -> dict[str, Any]:
    """Send ``requests`` over so many connections; return rates, percentiles in ms and failures."""
    address, numbers = urlsplit(url), itertools.count(time.time_ns())
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    clients = []
    for number in range(connections):
        start = number * len(requests) // connections
        sent = messages(requests, address.netloc, start, numbers)
        client = Connection(sent, began + seconds, least / connections)
        clients.append(client)
        await loop.create_connection(lambda client=client: client, address.hostname, address.port)
    await asyncio.gather(*(client.is_over for client in clients))
    took = np.concatenate([client.seconds for client in clients])
    return summary(took, time.perf_counter() - began) | {
        "failed": sum(client.failed for client in clients),
        "client_cpu_us": 1e6 * time.process_time() / len(took),
    }


def summary(seconds: Sequence[float], elapsed: float) -> dict[str, Any]:
    """Return count, rate and percentiles of answers that took so long."""
    p50, p95, p99 = 1000 * np.percentile(seconds, [50, 95, 99])
    return {
        "requests": len(seconds),
        "per_second": len(seconds) / elapsed,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
    }


def main() -> None:
    url, connections, seconds, least = sys.argv[1:]
    requests = json.load(sys.stdin)
    result = uvloop.run(load(url, requests, int(connections), float(seconds), float(least)))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
