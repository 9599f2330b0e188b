"""Models in memory: one copy of each, never dropped while somebody uses it, and no thread that stays."""

import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from whisper_server.engines.residency import Residency
from whisper_server.speech.errors import ModelInUse


class Net:
    """A model."""


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def load(models: Residency[Net], *names: str) -> None:
    for name in names:
        with models.use(name, Net):
            pass


def never() -> Net:
    raise AssertionError("a second copy is loaded")


def test_one_copy_is_loaded_for_all() -> None:
    models = Residency[Net](ttl=-1)
    loads: list[Net] = []

    def slowly() -> Net:
        time.sleep(0.05)
        loads.append(Net())
        return loads[-1]

    def use(_: int) -> Net:
        with models.use("a", slowly) as model:
            return model

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(use, range(8))) == set(loads)
    assert len(loads) == 1


@pytest.mark.parametrize("ttl", [0, 0.02])
def test_a_model_in_use_stays_however_long(ttl: float) -> None:
    models = Residency[Net](ttl)
    with models.use("a", Net) as model:
        with models.use("a", never) as same:
            assert same is model
        time.sleep(0.1)
        assert models.names() == ("a",)
        with models.use("a", never) as same:
            assert same is model
    assert eventually(lambda: models.names() == ())


def test_without_a_time_to_live_nothing_is_left_after_use() -> None:
    models = Residency[Net](ttl=0)
    load(models, "a")
    assert eventually(lambda: models.names() == ())


def test_a_model_stays_for_ever_if_so_set() -> None:
    models = Residency[Net](ttl=-1)
    load(models, "a")
    time.sleep(0.1)
    load(models, "a")
    assert models.names() == ("a",)


def test_the_time_to_live_starts_with_the_last_use() -> None:
    models = Residency[Net](ttl=0.4)
    load(models, "a")
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        with models.use("a", never):
            pass
        time.sleep(0.01)
    assert eventually(lambda: models.names() == ())


@pytest.mark.parametrize("ttl", [0, 1, 300, -1])
def test_no_thread_stays_for_each_model_that_was_loaded(ttl: int) -> None:
    models = Residency[Net](ttl)
    before = threading.active_count()
    for _ in range(25):
        load(models, "a")
        models.unload("a")
    assert eventually(lambda: threading.active_count() <= before)


def test_one_thread_at_most_waits_for_a_model() -> None:
    models = Residency[Net](ttl=300)
    before = threading.active_count()
    for _ in range(50):
        load(models, "a")
    assert eventually(lambda: threading.active_count() <= before + 1)
    models.unload_unused()
    assert eventually(lambda: threading.active_count() <= before)


def test_unloading() -> None:
    models = Residency[Net](ttl=-1)
    assert not models.unload("a")
    with models.use("a", Net), pytest.raises(ModelInUse, match="a is at work"):
        models.unload("a")
    assert models.unload("a")
    assert models.names() == ()


def test_the_unused_are_unloaded_and_their_memory_is_free() -> None:
    models = Residency[Net](ttl=-1)
    with models.use("used", Net):
        with models.use("unused", Net) as model:
            gone = weakref.ref(model)
        del model
        models.unload_unused()
        assert models.names() == ("used",)
    assert gone() is None


def test_the_least_recently_used_comes_first() -> None:
    models = Residency[Net](ttl=-1)
    load(models, "a", "b", "c", "a")
    with models.use("c", never):
        assert models.unused() == ["b", "a"]


def test_loading_may_make_room() -> None:
    models = Residency[Net](ttl=-1)
    load(models, "a", "b")

    def make_room() -> Net:
        models.unload(models.unused()[0])
        return Net()

    with models.use("c", make_room):
        assert models.names() == ("b", "c")


def test_a_failure_leaves_nothing_behind() -> None:
    models = Residency[Net](ttl=0)

    def fail() -> Net:
        raise OSError("no such model")

    with pytest.raises(OSError, match="no such model"), models.use("a", fail):
        pass
    assert models.names() == ()
    load(models, "a")


@pytest.mark.parametrize("ttl", [0, 0.001, -1])
def test_loading_using_and_unloading_at_once(ttl: float) -> None:
    """All who use a model at a time have the same copy."""
    models = Residency[Net](ttl)
    using = {"a": Counter[Net](), "b": Counter[Net]()}
    lock = threading.Lock()

    def use(name: str) -> None:
        with models.use(name, Net) as net:
            with lock:
                using[name][net] += 1
                assert len(using[name]) == 1, "a second copy"
            assert models.models()[name] is net
            with lock:
                using[name] -= Counter([net])

    def work(seed: int) -> None:
        for number in range(30):
            name = "ab"[(number * seed) % 2]
            use(name)
            if number % 7 == seed:
                models.unload_unused()
            elif number % 5 == seed:
                with suppress(ModelInUse):
                    models.unload(name)

    with ThreadPoolExecutor(5) as pool:
        for done in [pool.submit(work, seed) for seed in range(5)]:
            done.result()
    models.unload_unused()
    assert models.names() == ()
