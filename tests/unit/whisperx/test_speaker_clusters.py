"""Which local speakers are one person, with people whose voices are directions, and the noise of real ones."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from whisper_server.engines.whisperx import speaker_clusters
from whisper_server.engines.whisperx.local_speakers import LocalSpeakers, Windows
from whisper_server.engines.whisperx.turns import NOBODY
from whisper_server.speech.options import Speakers

VOICES = np.eye(16)
UNCONSTRAINED = SimpleNamespace(constrained_assignment=False)


def heard(people: list[int], seconds: int = 4) -> LocalSpeakers:
    """One window for each of the people, who speaks alone and for so long in it."""
    random = np.random.default_rng(0)
    embeddings = (VOICES[people] + 0.1 * random.standard_normal((len(people), 16))).astype(np.float32)
    active = np.zeros((len(people), 10, 3), bool)
    active[:, :seconds, 1] = True
    rows = np.arange(len(people))
    return LocalSpeakers(
        Windows(10, 2, 1, 1), active.astype(np.uint8) * 255, active, embeddings, rows, np.full(len(people), 1)
    )


def found_by(monkeypatch: pytest.MonkeyPatch, by_number: dict[int | None, Any]) -> None:
    """Let pyannote find these centroids, when it is asked for so many."""
    monkeypatch.setattr(speaker_clusters, "_centroids", lambda _, __, number: np.array(by_number[number], float))


def number_of(found: LocalSpeakers, speakers: Speakers, clustering: Any = UNCONSTRAINED) -> list[int]:
    who = speaker_clusters.people(clustering, found, speakers)
    assert (who[:, [0, 2]] == NOBODY).all()
    return [int(number) for number in who[:, 1]]


def test_the_nearest_centroid_says_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    found_by(monkeypatch, {None: VOICES[:3]})
    people = [0, 1, 2, 2, 1, 0, 0]
    assert number_of(heard(people), Speakers()) == people


def test_who_says_very_little_joins_a_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mixture of two voices, in one window of a hundred."""
    found_by(monkeypatch, {None: [VOICES[0], VOICES[1], VOICES[0] + 0.9 * VOICES[1]]})
    found = heard([0, 1] * 50 + [0])
    found.embeddings[-1] = VOICES[0] + 0.9 * VOICES[1]
    assert number_of(found, Speakers()) == [0, 1] * 50 + [0]


def test_two_percent_are_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    found_by(monkeypatch, {None: VOICES[:3]})
    people = [0, 1] * 48 + [2, 2]
    assert number_of(heard(people), Speakers()) == people


@pytest.mark.parametrize("speakers", [Speakers(number=3), Speakers(fewest=3)])
def test_no_one_is_left_out_whom_the_client_counts(monkeypatch: pytest.MonkeyPatch, speakers: Speakers) -> None:
    found_by(monkeypatch, {None: VOICES[:3]})
    people = [0, 1] * 100 + [2]
    assert number_of(heard(people), speakers) == people


@pytest.mark.parametrize("speakers", [Speakers(number=3), Speakers(most=3)])
def test_the_most_alike_are_one_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch, speakers: Speakers) -> None:
    found_by(monkeypatch, {None: [VOICES[0], VOICES[1], VOICES[2], VOICES[2] + 0.3 * VOICES[3]]})
    found = heard([0, 1, 2, 3] * 10)
    found.embeddings[3::4] = VOICES[2] + 0.3 * VOICES[3]
    who = number_of(found, speakers)
    assert who == [0, 1, who[2], who[2]] * 10
    assert len(set(who)) == 3


def test_more_are_asked_for_where_too_few_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found_by(monkeypatch, {None: VOICES[:1] + VOICES[1:2], 2: VOICES[:2]})
    assert number_of(heard([0, 1, 0]), Speakers(fewest=2)) == [0, 1, 0]
    assert number_of(heard([0, 1, 0]), Speakers(number=2)) == [0, 1, 0]


def test_nobody_can_be_embedded() -> None:
    found = heard([])
    assert number_of(found, Speakers()) == []


def test_two_of_a_window_are_not_one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a clustering that says so, as community-1's does; pyannote's own function decides which is which."""
    found_by(monkeypatch, {None: VOICES[:2]})
    found = heard([0, 0, 1])
    pair = LocalSpeakers(
        found.windows, found.scores, found.active, found.embeddings, np.array([0, 0, 1]), np.array([0, 1, 1])
    )
    asked = []

    def constrained_argmax(scores: Any) -> Any:
        asked.append(scores)
        return np.array([[0, 1, -2], [-2, 1, -2], [-2, -2, -2]])

    clustering = SimpleNamespace(constrained_assignment=True, constrained_argmax=constrained_argmax)
    who = speaker_clusters.people(clustering, pair, Speakers())
    assert who.tolist() == [[0, 1, NOBODY], [NOBODY, 1, NOBODY], [NOBODY] * 3]
    assert (asked[0][0, :2] > 0.5).tolist() == [[True, False]] * 2
    assert (asked[0][0, 2] == asked[0][2]).all(), "who has no embedding is told apart from who has"


def test_more_in_a_window_than_there_are_people(monkeypatch: pytest.MonkeyPatch) -> None:
    found_by(monkeypatch, {None: VOICES[:1]})
    found = heard([0, 0])
    pair = LocalSpeakers(
        found.windows, found.scores, found.active, found.embeddings, np.array([0, 0]), np.array([0, 1])
    )
    clustering = SimpleNamespace(
        constrained_assignment=True, constrained_argmax=lambda _: np.array([[0, -2, -2], [-2, -2, -2]])
    )
    assert speaker_clusters.people(clustering, pair, Speakers())[0].tolist() == [0, 0, NOBODY]
