"""The AWS SDK for JavaScript v3: from Node, and in a page that headless Chromium opens."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest
import websocket

from tests.contract.account import Account
from tests.local_server import LocalServer

WEB = Path(__file__).resolve().parents[2] / "labs" / "web"
NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BROUGHT = "tests/interop/install.sh brings it"
needs_node = pytest.mark.skipif(
    NODE is None or not (WEB / "node_modules").is_dir(), reason=f"no Node with the SDK: {BROUGHT}"
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or not (WEB / "page.bundle.js").exists(),
    reason=f"no Chromium, or the page is not built: {BROUGHT}",
)
SECONDS = 90


@needs_node
def test_node_describes_recommends_and_puts_events(environment, account: Account):
    words = [account.tastes_campaign, account.tracking_id, "viewer-1"]
    done = subprocess.run(
        [NODE, str(WEB / "from_node.mjs"), *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["status"], seen["created"]) == ("ACTIVE", True)
    assert len(seen["before"]) == 25
    assert seen["after"] != seen["before"]
    assert seen["refusal"] == {"typed": True, "name": "ResourceNotFoundException"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def page_url() -> Iterator[str]:
    """The folder of the page, served as a learner would: another origin than the service's."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=WEB)) as pages:
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        yield f"http://localhost:{pages.server_port}/page.html"
        pages.shutdown()
        thread.join()


class Tab:
    """A page in a headless Chromium, spoken to by its DevTools protocol."""

    def __init__(self, url: str):
        self._profile = tempfile.mkdtemp()
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options += ["--no-first-run", "--disable-background-networking", "--disable-sync"]
        options += ["--remote-debugging-port=0", "--remote-allow-origins=*"]
        self._process = subprocess.Popen(
            [CHROMIUM, *options, f"--user-data-dir={self._profile}", url],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._calls = 0

    def __enter__(self) -> Tab:
        ports = Path(self._profile) / "DevToolsActivePort"
        until(lambda: ports.exists() and "\n" in ports.read_text(), "Chromium started")
        listing = f"http://127.0.0.1:{ports.read_text().splitlines()[0]}/json"

        def find_page() -> str | None:
            with urllib.request.urlopen(listing, timeout=SECONDS) as answer:
                tabs = json.load(answer)
            return next((t["webSocketDebuggerUrl"] for t in tabs if t["type"] == "page"), None)

        address = until(find_page, "a page")
        self._socket = websocket.create_connection(address, timeout=SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(SECONDS)
        shutil.rmtree(self._profile, ignore_errors=True)

    def evaluate(self, expression: str):
        """Return the value of a JavaScript expression in the page."""
        self._calls += 1
        params = {"expression": expression, "returnByValue": True}
        request = {"id": self._calls, "method": "Runtime.evaluate", "params": params}
        self._socket.send(json.dumps(request))
        while (answer := json.loads(self._socket.recv())).get("id") != self._calls:
            pass
        return answer["result"]["result"].get("value")

    def items(self) -> list[str]:
        return self.evaluate("[...document.querySelectorAll('li button')].map(b => b.textContent)")

    def status(self) -> str:
        return self.evaluate("document.querySelector('#status')?.textContent") or ""


def until(condition, what: str):
    """Wait for a condition and return what it gave."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not {what} within {SECONDS} s")


@pytest.mark.browser
@needs_chromium
def test_a_page_sends_clicks_and_shows_the_changed_list(
    page_url: str, server: LocalServer, account: Account
):
    values = {"endpoint": server.url, "campaignArn": account.tastes_campaign}
    values |= {"trackingId": account.tracking_id, "userId": "viewer-1"}
    with Tab(f"{page_url}?{urlencode(values)}") as tab:
        until(lambda: len(tab.items()) == 10, "a list of ten: " + tab.status())
        before = tab.items()
        tab.evaluate("document.querySelector('li:last-child button').click()")
        sent = f"Sent: watch of {before[-1]}. The list is new."
        until(lambda: tab.status() == sent, sent)
        assert len(tab.items()) == 10
        assert tab.items() != before
        tab.evaluate("document.querySelector('[name=campaignArn]').value += '-missing'")
        tab.evaluate("document.querySelector('form').requestSubmit()")
        until(lambda: tab.status().startswith("ResourceNotFoundException: Could not"), "refused")
