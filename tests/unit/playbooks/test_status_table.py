from typing import Any

from playbooks.filter_plugins.status_table import certificate_lines, status_table

AWAKE = {"host": "whisper.example.com", "state": "ready", "last_used_seconds_ago": 125.0, "failure": None}
ASLEEP = {"host": "whisperx.example.com", "state": "stopped", "last_used_seconds_ago": None, "failure": "exit code 137"}
CONTAINERS = {"whisper.example.com": ["faster-whisper"], "whisperx.example.com": ["whisperx"]}
LISTED = [
    {"Names": "faster-whisper", "Image": "whisper-faster:234be9b5a2fb"},
    {"Names": "whisperx", "Image": "whisperx:2effd4e16759"},
]
USED = [{"Name": "faster-whisper", "MemUsage": "356.2MiB / 2GiB"}]
CERTIFICATES: list[dict[str, Any]] = [
    {"name": "whisper.example.com", "days_left": 81, "issuer": "R11"},
    {"name": "whisperx.example.com", "problem": "no such file"},
    {"name": "portal.example.com", "days_left": 80, "issuer": "R11"},
]


def test_a_line_for_each_service() -> None:
    head, awake, asleep = status_table([AWAKE, ASLEEP], CONTAINERS, LISTED, USED, CERTIFICATES)
    assert head.split("  ")[0] == "SERVICE"
    assert awake.split() == [
        "whisper.example.com",
        "234be9b5a2fb",
        "ready",
        "356.2MiB",
        "81",
        "days",
        "2",
        "min",
        "ago",
        "-",
    ]
    assert asleep.split() == [
        "whisperx.example.com",
        "2effd4e16759",
        "stopped",
        "-",
        "unreadable",
        "-",
        "exit",
        "code",
        "137",
    ]


def test_a_line_for_each_certificate() -> None:
    assert certificate_lines(CERTIFICATES) == [
        "certificate of whisper.example.com: 81 days left, from R11",
        "certificate of whisperx.example.com: no such file",
        "certificate of portal.example.com: 80 days left, from R11",
    ]


def test_columns_begin_under_their_heads() -> None:
    lines = status_table([AWAKE, ASLEEP], CONTAINERS, LISTED, USED, CERTIFICATES)
    for column, words in (("STATE", ("ready", "stopped")), ("LAST ERROR", ("-", "exit"))):
        assert all(
            line[lines[0].index(column) :].startswith(word) for line, word in zip(lines[1:3], words, strict=True)
        )


def test_a_service_of_which_nothing_is_known() -> None:
    _, line = status_table([AWAKE | {"last_used_seconds_ago": None}], {}, [], [], [])
    assert line.split() == ["whisper.example.com", "-", "ready", "-", "-", "-", "-"]
