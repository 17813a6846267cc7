"""Files of JSON lines: read, answered block by block, written; never a whole file in memory.

Amazon Personalize: the input and output files of batch inference jobs and batch segment jobs. Every
line of ``users.json`` has its line in ``users.json.out``; an empty ``_CHECK`` says that all is
written.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
import orjson
from threadpoolctl import threadpool_limits

from personalens.datasets.csv_blocks import CsvSource
from personalens.jobs.job_runner import JobFailed
from personalens.jobs.output_folders import OutputFolder, claim_outputs
from personalens.progress import Progress, ProgressEvent
from personalens.storage.object_storage import KEPT_FOLDERS, DataLocationError, find_sources
from personalens.storage.resource_store import Resource

if TYPE_CHECKING:
    from personalens.storage.job_queue import Job
    from personalens.storage.service_context import ServiceContext

LONGEST_LINE = 1 << 20
CHECK_FILE = "_CHECK"
NUMBER_WIDTH = len("0.1234567,")


class LineFault(Exception):
    """One line cannot be answered; the message becomes its ``error``."""


class Line(NamedTuple):
    """One line of input: its JSON as it is repeated in the output, what it asks, or what is wrong
    with it."""

    text: bytes
    asked: dict[str, Any] | None
    fault: LineFault | None = None


Answer = Callable[[Sequence[dict[str, Any]]], Sequence[bytes | LineFault]]
"""Answers a block of lines: for each the JSON of its ``output``, or why there is none. It may be
called from several threads at once."""


def answer_files(
    context: ServiceContext,
    asked: Resource,
    report: Progress,
    answer: Answer,
    *,
    block_size: int,
    job: Job | None = None,
) -> None:
    """Answer all lines of a job's input into its output folder. ``job`` has the lease; without one,
    nothing is noted of the files.

    What is wrong with a line does not fail the job, but an input that cannot be read does.
    """
    target = asked.body["jobOutput"]["s3DataDestination"]["path"]
    folders = asked.body.get(KEPT_FOLDERS)
    try:
        output = OutputFolder(target, region=context.region, home=context.home, folders=folders)
        files = _input_files(context, asked)
        claim_outputs(context, job, output, [*(f"{file.name}.out" for file in files), CHECK_FILE])
        total, done = max(1, sum(file.size for file in files)), 0
        for file in files:
            with output.writing(f"{file.name}.out") as written:
                for lines, position in _answered(file, answer, block_size):
                    written.write(lines)
                    report(ProgressEvent("answering", min(1.0, (done + position) / total)))
            done += file.size
        with output.writing(CHECK_FILE):
            pass
    except DataLocationError as error:
        raise JobFailed(str(error)) from error


def check_length(context: ServiceContext, job: Resource, most: int) -> None:
    """Refuse an input of more lines than a job takes, by JobFailed."""
    lines = 0
    try:
        for file in _input_files(context, job):
            with file.open() as stream:
                for block, _ in _blocks(stream, most):
                    lines += sum(1 for line in block if line.strip())
                    if lines > most:
                        raise JobFailed(
                            f"The input has more than {most} lines, and this job takes {most} at "
                            "most: divide it among several jobs."
                        )
    except DataLocationError as error:
        raise JobFailed(str(error)) from error


def _input_files(context: ServiceContext, job: Resource) -> list[CsvSource]:
    path = job.body["jobInput"]["s3DataSource"]["path"]
    found = find_sources(path, region=context.region, suffix="", folders=job.body.get(KEPT_FOLDERS))
    return [file for file in found if not file.name.startswith((".", "_"))]


def _answered(file: CsvSource, answer: Answer, block_size: int) -> Iterator[tuple[bytes, int]]:
    """Yield the output of block after block, and how far the file was read by then.

    Blocks are answered side by side, a core each, and as many wait for one: what is in memory does
    not depend on the length of the file. They leave in their order.
    """
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    waiting: deque[Future[tuple[bytes, int]]] = deque()
    with (
        file.open() as stream,
        threadpool_limits(1, user_api="blas"),  # the blocks use the cores
        ThreadPoolExecutor(threads) as pool,
    ):
        for block, position in _blocks(stream, block_size):
            waiting.append(pool.submit(_answer_block, block, answer, position))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _blocks(stream: BinaryIO, size: int) -> Iterator[tuple[list[bytes], int]]:
    """Yield lists of ``size`` lines and the position after them."""
    block, position = [], 0
    while line := stream.readline(LONGEST_LINE + 1):
        block.append(line)
        position += len(line)
        while len(line) > LONGEST_LINE and not line.endswith(b"\n"):  # its rest is passed over
            line = stream.readline(LONGEST_LINE + 1)
            position += len(line)
        if len(block) == size:
            yield block, position
            block = []
    if block:
        yield block, position


def _answer_block(block: list[bytes], answer: Answer, position: int) -> tuple[bytes, int]:
    lines = [read_line(raw) for raw in block if raw.strip()]
    answers = iter(answer([line.asked for line in lines if line.fault is None]))
    written: list[bytes] = []
    for text, _, fault in lines:
        found = next(answers) if fault is None else fault
        if isinstance(found, LineFault):
            error = json_bytes(str(found))
            written += (b'{"input":', text, b',"output":null,"error":', error, b"}\n")
        else:
            written += (b'{"input":', text, b',"output":', found, b',"error":null}\n')
    return b"".join(written), position


def read_line(raw: bytes) -> Line:
    """Read one line. What is not JSON is repeated in the output as a string.

    Examples
    --------
    >>> read_line(b'{"userId": "1"}').asked
    {'userId': '1'}
    >>> read_line(b"userId: 1").text
    b'"userId: 1"'
    """
    if len(raw) > LONGEST_LINE:
        start = json_bytes(raw[:80].decode("utf-8", "replace"))
        return Line(start, None, LineFault(f"The line is longer than {LONGEST_LINE} bytes."))
    text = raw.strip()
    try:
        asked = orjson.loads(text)
    except orjson.JSONDecodeError:  # what is more liberal, and says better what is wrong
        try:
            decoded = raw.decode("utf-8-sig").strip()
            text, asked = decoded.encode(), _DECODER.decode(decoded)
        except (ValueError, RecursionError) as error:  # ValueError: neither UTF-8 nor JSON
            text = json_bytes(raw.decode("utf-8", "replace").strip())
            return Line(text, None, LineFault(f"The line is not JSON: {error}."))
    if not isinstance(asked, dict):
        return Line(text, None, LineFault('The line is no JSON object, such as {"userId": "1"}.'))
    return Line(text, asked)


def required_text(asked: dict[str, Any], name: str) -> str:
    """Return a member of a line that must be a string with something in it."""
    value = asked.get(name)
    if not isinstance(value, str) or not value:
        what = "is missing" if value in (None, "") else f"is {json.dumps(value)}, not a string"
        raise LineFault(f"{name} {what}.")
    return value


def filter_values(asked: dict[str, Any]) -> dict[str, str]:
    """Return a line's ``filterValues``."""
    values = asked.get("filterValues")
    if not values:
        return {}
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise LineFault(
            'filterValues is not an object of strings, such as {"GENRES": "\\"war\\""}.'
        )
    return values


def json_bytes(text: str) -> bytes:
    """Return a string as JSON. Half of a surrogate pair, which is no character, stays escaped."""
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "backslashreplace")


def json_names(ids: np.ndarray) -> np.ndarray:
    """Return (n,) identifiers as the bytes of JSON strings: each is turned into JSON once."""
    return np.array([json_bytes(identifier) for identifier in ids], object)


def json_numbers(shares: np.ndarray, lengths: Sequence[int]) -> list[bytes]:
    """Return the first numbers of each row of (B, k), of 0 to 1, with seven decimals.

    Examples
    --------
    >>> json_numbers(np.array([[0.5, 1.0], [1 / 3, 0.0]]), [2, 1])
    [b'0.5000000,1.0000000', b'0.3333333']
    """
    left = np.rint(shares * 10_000_000).astype(np.int32)
    digits = np.full((*shares.shape, NUMBER_WIDTH), ord(","), np.uint8)
    for place in (8, 7, 6, 5, 4, 3, 2, 0):
        before, left = left, left // 10
        digits[..., place] = before - 10 * left + ord("0")
    digits[..., 1] = ord(".")
    text, width = digits.tobytes(), digits[0].size
    return [
        text[row * width : row * width + max(0, length * NUMBER_WIDTH - 1)]
        for row, length in enumerate(lengths)
    ]


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
