"""The load that the serving benchmark makes, and what the report makes of its results."""

import asyncio
import json

SEEN_ELSEWHERE = "an event of another process changes the answer"
FIGURES = {"per_second": 3000.0, "p50_ms": 0.7, "p95_ms": 2.0, "p99_ms": 4.0}
ROW = FIGURES | {"requests": 10, "cpu_us": 300.0, "memory_mb": 400.0, "failed": 0}


def result(**changed):
    rows = [
        ROW | {"what": "boto3 in process: GetRecommendations"},
        ROW | {"what": "GetRecommendations", "connections": 8},
        ROW | {"what": "GetRecommendations during a training", "connections": 8},
        ROW | {"what": "PutEvents", "connections": 8},
        FIGURES | {"what": SEEN_ELSEWHERE, "slowest_ms": 20.0, "failed": 0},
    ]
    rows = [row | changed.get(row["what"].replace(" ", "_"), {}) for row in rows]
    return {"benchmark": "serving", "workers": 2, "catalogues": [{"name": "ml-100k", "rows": rows}]}


def test_targets_are_held_against_the_rows():
    from benchmarks import goals

    assert [row.met for row in goals.outcomes([result()])] == ["yes"] * 6
    slow = {"p99_ms": 13.0, "per_second": 100.0, "p50_ms": 0.9}
    worse = result(
        GetRecommendations=slow,
        GetRecommendations_during_a_training={"p99_ms": 40.0},
        PutEvents=slow,
    )
    assert [row.met for row in goals.outcomes([worse])] == ["no", "no", "no", "yes", "no", "yes"]


def test_connections_send_one_request_after_the_other_and_none_twice():
    from benchmarks import http_load

    seen = []

    async def serve(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            seen.append((head.split()[1].decode(), body["userId"], body["n"]))
            status = b"200 OK" if body["userId"] != "b" else b"400 Bad Request"
            writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\n")
            await asyncio.sleep(0)
            writer.write(b"{}")

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        requests = [(f"/{user}", json.dumps({"userId": user, "n": "@"})) for user in "ab"]
        done = await http_load.load(url, requests, 2, 0.0, least=20)
        server.close()
        return done

    measured = asyncio.run(run())
    assert measured["requests"] == len(seen) == 20
    assert measured["failed"] == 10
    assert {(path, user) for path, user, _ in seen} == {("/a", "a"), ("/b", "b")}
    assert len({number for _, _, number in seen}) == 20
    assert 0 < measured["p50_ms"] <= measured["p99_ms"]


def test_the_random_catalogue_has_every_item():
    from benchmarks import serving

    catalogue = serving.Catalogue(300, is_real=False)
    assert catalogue.interactions["ITEM_ID"].nunique() == len(catalogue.metadata) == 300
    assert len(catalogue.users) <= serving.USERS
