"""kill -9 of the server under a stream of PutEvents: what was acknowledged is there.

``python -m benchmarks.put_events_durability`` does the same twenty times, at 200 calls a second.
"""

from __future__ import annotations

import pytest

from benchmarks import put_events_durability as durability
from tests.faults.conftest import until


@pytest.mark.parametrize("workers", [1, 2])
def test_no_acknowledged_event_is_missing(home, workers):
    tracking_id, dataset = durability.make_tracker(home)
    stream = durability.Stream(tracking_id)
    for _ in range(2):
        server, url = durability.start_server(home, workers=workers)
        before = len(stream.acknowledged)
        try:
            clients = stream.run(url, rate=200.0, clients=4)
            assert until(lambda before=before: len(stream.acknowledged) >= before + 40)
        finally:
            durability.kill(server)
        for client in clients:
            client.join()
    found = durability.logged_items(home, dataset)
    assert set(stream.acknowledged) <= set(found)
    assert set(found.values()) == {1}
