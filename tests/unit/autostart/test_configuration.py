"""config.json: the guide's file and the wider format are accepted; what is wrong is named by line and key."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docker_autostart.configuration import normalize_host, parse_configuration, read_configuration
from docker_autostart.json_object import ConfigurationError, Problem

GUIDE = """{"services": {
  "whisper.HOST":  {"name": "Whisper API (faster-whisper)", "composeDir": "/opt/whisper-faster",
                    "proxyPort": 8001, "blocking": true, "containers": ["faster-whisper"]},
  "whisperx.HOST": {"name": "WhisperX API (with diarization)", "composeDir": "/opt/whisperx",
                    "proxyPort": 8002, "blocking": true, "containers": ["whisperx"]}}}
"""

WIDE = """{
  "port": 8899,
  "idleTimeout": 900,
  "startTimeout": 60,
  "memoryBudgetMb": 3000,
  "noWakePaths": ["/health"],
  "noWakeUserAgents": ["UptimeRobot"],
  "services": {
    "a.example.com": {
      "name": "A", "composeDir": "/opt/a", "composeFile": "stack.yml", "proxyPort": 8001, "containers": ["aa"],
      "idleTimeout": 0, "startTimeout": 120.5, "mode": "async", "theme": "dark", "readyPath": "/ready",
      "readyStatus": 200, "busyPath": "/busy", "metricsPath": "/metrics", "memoryMb": 1200, "noWakeMethods": ["TRACE"],
      "noWakePaths": []
    },
    "B.Example.com.": {"composeDir": "/opt/b", "proxyPort": 8002, "async": false, "containers": ["bb", "b-db"]}
  }
}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration(text)
    return [str(problem) for problem in caught.value.problems]


def one_service(**changes: object) -> str:
    """A valid document of one service, one key a line, with changes; None removes a key."""
    service: dict[str, object] = {
        "name": "Whisper",
        "composeDir": "/opt/whisper",
        "proxyPort": 8001,
        "containers": ["whisper"],
        **changes,
    }
    document = {"services": {"whisper.example.com": {k: v for k, v in service.items() if v is not None}}}
    return json.dumps(document, indent=1)


def test_the_guide_s_file() -> None:
    configuration = parse_configuration(GUIDE)
    assert configuration.port == 8890
    first = configuration.services["whisper.host"]
    assert first.name == "Whisper API (faster-whisper)"
    assert first.compose_dir == Path("/opt/whisper-faster")
    assert first.compose_file is None
    assert (first.proxy_port, first.blocking, first.containers) == (8001, True, ("faster-whisper",))
    assert (first.idle_timeout, first.start_timeout) == (1800, 30)
    assert (first.ready_path, first.ready_status, first.busy_path) == ("/health", None, None)


def test_the_wider_format() -> None:
    configuration = parse_configuration(WIDE)
    assert (configuration.port, configuration.memory_budget_mb) == (8899, 3000)
    a, b = configuration.services["a.example.com"], configuration.services["b.example.com"]
    assert a.compose_file == Path("/opt/a/stack.yml")
    assert (a.idle_timeout, a.start_timeout, b.idle_timeout, b.start_timeout) == (0, 120.5, 900, 60)
    assert (a.blocking, b.blocking, a.theme) == (False, True, "dark")
    assert (a.ready_path, a.ready_status, a.busy_path, a.memory_mb) == ("/ready", 200, "/busy", 1200)
    assert (a.metrics_path, b.metrics_path) == ("/metrics", None)
    assert (a.no_wake_paths, b.no_wake_paths) == (frozenset(), frozenset({"/health"}))
    assert a.no_wake_methods == frozenset({"TRACE"})
    assert b.no_wake_user_agents == ("UptimeRobot",)
    assert b.name == "b.example.com"


@pytest.mark.parametrize(
    ("changes", "line", "key", "words"),
    [
        ({"idleTimout": 5}, 10, "idleTimout", 'unknown key; did you mean "idleTimeout"?'),
        ({"colour": "red"}, 10, "colour", "unknown key; known are"),
        ({"idleTimeout": -1}, 10, "idleTimeout", "0 (never stopped) or more; got -1"),
        ({"idleTimeout": True}, 10, "idleTimeout", "number of seconds"),
        ({"idleTimeout": "30"}, 10, "idleTimeout", 'got "30"'),
        ({"startTimeout": 0}, 10, "startTimeout", "from 1 to 600; got 0"),
        ({"startTimeout": 601}, 10, "startTimeout", "from 1 to 600"),
        ({"proxyPort": 0}, 6, "proxyPort", "a port from 1 to 65535"),
        ({"proxyPort": 80.5}, 6, "proxyPort", "a port"),
        ({"proxyPort": 8890}, 6, "proxyPort", "listens on"),
        ({"proxyPort": None}, 3, "", '"proxyPort" is missing'),
        ({"composeDir": None}, 3, "", '"composeDir" is missing'),
        ({"composeDir": "opt/whisper"}, 5, "composeDir", "an absolute path"),
        ({"containers": []}, 7, "containers", "at least one member"),
        ({"containers": "whisper"}, 7, "containers", "must be a list"),
        ({"containers": ["a b"]}, 7, "containers", "name of a container"),
        ({"name": "  "}, 4, "name", "something in it"),
        ({"name": "a\nb"}, 4, "name", "no control characters"),
        ({"blocking": "yes"}, 10, "blocking", "true or false"),
        ({"mode": "sometimes"}, 10, "mode", "blocking or async"),
        ({"readyPath": "health"}, 10, "readyPath", 'starts with "/"'),
        ({"readyStatus": 500}, 10, "readyStatus", "200 to 499"),
        ({"busyPath": 1}, 10, "busyPath", "a path"),
        ({"memoryMb": 0}, 10, "memoryMb", "above 0"),
        ({"noWakeMethods": ["get"]}, 10, "noWakeMethods", "upper case"),
        ({"noWakePaths": "/health"}, 10, "noWakePaths", "a list"),
    ],
)
def test_names_the_line_and_the_key_of_what_is_wrong(
    changes: dict[str, object], line: int, key: str, words: str
) -> None:
    (problem,) = problems(one_service(**changes))
    where = f"line {line}: services.whisper.example.com" + (f".{key}: " if key else ": ")
    assert problem.startswith(where), problem
    assert words in problem


def test_blocking_async_and_mode_must_agree() -> None:
    (problem,) = problems(one_service(blocking=True, mode="async"))
    assert problem.startswith("line 10: services.whisper.example.com.blocking: contradicts")
    (problem,) = problems(one_service(**{"async": True, "mode": "blocking"}))
    assert "contradicts" in problem


def test_says_everything_at_once_in_the_order_of_the_lines() -> None:
    found = problems('{\n"port": 0,\n"services": {"a": {\n"proxyPort": 1,\n"x": 2}}}')
    assert [problem.partition(":")[0] for problem in found] == ["line 2", "line 3", "line 3", "line 5"]


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (
            '"b.example.com": {"composeDir": "/b", "proxyPort": 8001, "containers": ["bb"]}',
            "proxyPort: 8001 belongs to a",
        ),
        (
            '"b.example.com": {"composeDir": "/b", "proxyPort": 8002, "containers": ["aa"]}',
            "containers: aa belongs to a",
        ),
        (
            '"A.example.com": {"composeDir": "/b", "proxyPort": 8002, "containers": ["bb"]}',
            "a.example.com belongs to a",
        ),
        ('"a.example.com": {"composeDir": "/b", "proxyPort": 8002, "containers": ["bb"]}', "stands on line 2 already"),
        ('"b_b.example.com": {"composeDir": "/b", "proxyPort": 8002, "containers": ["bb"]}', "is not a host name"),
    ],
)
def test_two_services_share_nothing(second: str, words: str) -> None:
    first = '"a.example.com": {"composeDir": "/a", "proxyPort": 8001, "containers": ["aa"]}'
    found = problems('{"services": {\n' + first + ",\n" + second + "}}")
    assert any(problem.startswith("line 3") and words in problem for problem in found), found


def test_a_service_larger_than_the_budget_can_never_start() -> None:
    text = '{"memoryBudgetMb": 1000,\n' + one_service(memoryMb=2000)[1:]
    (problem,) = problems(text)
    assert "can never fit into memoryBudgetMb, 1000" in problem


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "line 1"),
        ("{\n\n", "line 3"),
        ('{"services": {},\n"port": }', "line 2"),
        ('{"services": {}, "idleTimeout": NaN}', "line 1"),
        ("[]", "line 1: must be an object, not a list"),
        ("{}", 'line 1: "services" is missing'),
        ('{"services": []}', "line 1: services: must be an object"),
        ('{"services": {"a": 5}}', "line 1: services.a: must be an object, not a number"),
    ],
)
def test_what_is_not_a_configuration_at_all(text: str, where: str) -> None:
    assert problems(text)[0].startswith(where)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_configuration(tmp_path / "config.json")
    (tmp_path / "config.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_configuration(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("header", "host"),
    [("A.Example.COM", "a.example.com"), ("a.:443", "a"), ("a:", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]")],
)
def test_normalizes_hosts(header: str, host: str) -> None:
    assert normalize_host(header) == host


words = st.text(alphabet='aA1/~."\\ \né', max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ("name", "composeDir", "proxyPort", "containers", "idleTimeout", "mode", "async", "busyPath", "x")
        ),
        json_values,
    )
)
def test_whatever_stands_there_is_accepted_or_named(service: dict[str, object]) -> None:
    text = json.dumps({"services": {"a.example.com": service}}, indent=1)
    found: list[Problem] = []
    try:
        parse_configuration(text)
    except ConfigurationError as error:
        found = error.problems
    assert all(1 <= problem.line <= text.count("\n") + 1 for problem in found)
    assert found or {"composeDir", "proxyPort", "containers"} <= set(service)
