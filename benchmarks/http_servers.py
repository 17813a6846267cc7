"""uvicorn beside granian under the same application: rates, processor time, and how each ends.

    python -m benchmarks.http_servers
    python -m benchmarks.http_servers --workers 1 --seconds 30 --rounds 5

Needs ``pip install granian``, which PersonaLens itself does not. Each server runs the application
of ``personalens serve`` on one home, with so many workers and uvloop; the rounds alternate, so that
what else the machine does meets both. ``cpu_us`` is the processor time of the server's processes
for one request. ``stop`` is a SIGTERM while requests are under way: how many of them failed, and
how long the server took. What each can limit stands in its own documentation; what a stranger
really can hold is tried in tests/aws/test_http_limits.py.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import ROOT
from benchmarks.serving import Catalogue, Server
from personalens.aws.server_launch import ServerSettings, make_application
from personalens.home import Home, default_home


def application() -> Any:
    """Return what granian serves: what a worker process of ``personalens serve`` does."""
    return make_application(ServerSettings(default_home(), access_log=False))


class Granian(Server):
    """granian in processes of its own."""

    def __init__(self, home: Home, workers: int):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory"]
        command += ["--port", str(port), "--workers", str(workers), "--loop", "uvloop"]
        command += ["--http", "1", "--no-ws", "--no-log", "benchmarks.http_servers:application"]
        environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        environment |= os.environ | {"PERSONALENS_HOME": str(home.path)}
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment)
        self.url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("granian did not start within a minute.")


SERVERS = {"uvicorn": Server, "granian": Granian}


def measure_stop(server: Server, requests: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """End the server while eight connections are busy; count the requests that it left."""
    process, answers = server._process, []

    def ask() -> None:
        host, _, port = server.url.removeprefix("http://").partition(":")
        body = json.dumps(requests[0][1])
        head = f"POST {requests[0][0]} HTTP/1.1\r\nHost: {host}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            while process.poll() is None:
                try:
                    connection.sendall((head + body).encode())
                    answer = connection.recv(65536)
                except OSError:
                    answer = b""
                answers.append(answer[:12])
                if b"200" not in answer[:12] or b"connection: close" in answer.lower():
                    return

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    began = time.perf_counter()
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    took = time.perf_counter() - began
    for thread in threads:
        thread.join()
    failed = sum(b"200" not in answer for answer in answers)
    return {"answers": len(answers), "failed": failed, "stop_seconds": round(took, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    os.environ.setdefault("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
    catalogue = Catalogue(1700, is_real=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        catalogue.deploy(home, Path(folder))
        load = {
            "GetRecommendations": [("/recommendations", body) for body in catalogue.asking()],
            "PutEvents": [("/events", body) for body in catalogue.telling()],
        }
        rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for _ in range(options.rounds):
            for name, start in SERVERS.items():
                with start(home, options.workers) as server:
                    server.see_everybody(load["GetRecommendations"])
                    for what, requests in load.items():
                        row = server.load(requests, options.connections, options.seconds)
                        rows.setdefault((name, what), []).append(row)
                        print(name, what, json.dumps(row), flush=True)
                    print(name, "stop", json.dumps(measure_stop(server, load["PutEvents"])))
        for (name, what), found in rows.items():
            middle = {k: round(float(np.median([r[k] for r in found])), 2) for k in found[0]}
            print("median of", len(found), name, what, json.dumps(middle))


if __name__ == "__main__":
    main()
