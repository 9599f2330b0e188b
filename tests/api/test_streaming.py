"""Text as it is decoded, through the public endpoint."""

import ssl
import time

import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAI

from testbed.word_error_rate import word_error_rate
from tests.api.conftest import Demo, Recording


@pytest.fixture
def minute(recordings: list[Recording]) -> Recording:
    return next(r for r in recordings if r.path.match("silero/test.wav"))


def test_the_text_comes_in_parts_and_then_whole(client: OpenAI, minute: Recording) -> None:
    arrivals: list[float] = []
    events = []
    with minute.path.open("rb") as file:
        for event in client.audio.transcriptions.create(model="whisper-1", file=file, language="en", stream=True):
            arrivals.append(time.monotonic())
            events.append(event)
    assert [event.type for event in events] == ["transcript.text.delta"] * (len(events) - 1) + ["transcript.text.done"]
    assert len(events) > 5
    done = events[-1]
    assert done.type == "transcript.text.done"
    assert done.text == "".join(e.delta for e in events if e.type == "transcript.text.delta").strip()
    # The first words do not wait for the last.
    assert arrivals[-1] - arrivals[0] > 0.5


async def test_the_asynchronous_client(demo: Demo, trust: ssl.SSLContext, recordings: list[Recording]) -> None:
    # One that is easy to hear: where a window is hard, a temperature above 0 is tried, and what is drawn at it differs.
    clip = next(r for r in recordings if r.path.match("librivox/*_austen_*-0870.wav"))
    http = DefaultAsyncHttpxClient(verify=trust, timeout=120)
    async with AsyncOpenAI(base_url=f"{demo.url}/v1", api_key=demo.key, max_retries=0, http_client=http) as client:
        answer = await client.audio.transcriptions.create(model="whisper-1", file=clip.path, language="en")
        stream = await client.audio.transcriptions.create(model="whisper-1", file=clip.path, language="en", stream=True)
        last = [event async for event in stream][-1]
    assert last.type == "transcript.text.done"
    assert word_error_rate(answer.text, last.text) == 0
