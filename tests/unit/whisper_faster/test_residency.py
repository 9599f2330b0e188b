"""Models in memory: one copy of each, never dropped while somebody uses it, and no thread that stays."""

import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.unit.whisper_server.conftest import eventually
from whisper_server.engines.residency import Residency
from whisper_server.speech.errors import ModelInUse, ModelTooLarge, ModelUnavailable


class Net:
    """A model."""


def nothing() -> int:
    return 0


def megabytes(number: int) -> Callable[[], int]:
    return lambda: number * 1024**2


def models_with(room: int) -> Residency:
    """Models on a machine with so many megabytes beyond what the process itself needs."""
    return Residency(-1, megabytes(400 + room))


def load(models: Residency, *names: str, needed: Callable[[], int] = nothing) -> None:
    for name in names:
        with models.use(name, Net, needed):
            pass


def never() -> Net:
    raise AssertionError("a second copy is loaded")


def test_one_copy_is_loaded_for_all() -> None:
    models = Residency(ttl=-1)
    loads: list[Net] = []

    def slowly() -> Net:
        time.sleep(0.05)
        loads.append(Net())
        return loads[-1]

    def use(_: int) -> Net:
        with models.use("a", slowly, nothing) as model:
            return model

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(use, range(8))) == set(loads)
    assert len(loads) == 1


@pytest.mark.parametrize("ttl", [0, 0.02])
def test_a_model_in_use_stays_however_long(ttl: float) -> None:
    models = Residency(ttl)
    with models.use("a", Net, nothing) as model:
        with models.use("a", never, nothing) as same:
            assert same is model
        time.sleep(0.1)
        assert models.names() == ("a",)
        with models.use("a", never, nothing) as same:
            assert same is model
    assert eventually(lambda: models.names() == ())


def test_without_a_time_to_live_nothing_is_left_after_use() -> None:
    models = Residency(ttl=0)
    load(models, "a")
    assert eventually(lambda: models.names() == ())


def test_a_model_stays_for_ever_if_so_set() -> None:
    models = Residency(ttl=-1)
    load(models, "a")
    time.sleep(0.1)
    load(models, "a")
    assert models.names() == ("a",)


def test_the_time_to_live_starts_with_the_last_use() -> None:
    models = Residency(ttl=0.4)
    load(models, "a")
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        with models.use("a", never, nothing):
            pass
        time.sleep(0.01)
    assert eventually(lambda: models.names() == ())


@pytest.mark.parametrize("ttl", [0, 1, 300, -1])
def test_no_thread_stays_for_each_model_that_was_loaded(ttl: int) -> None:
    models = Residency(ttl)
    before = threading.active_count()
    for _ in range(25):
        load(models, "a")
        models.unload("a")
    assert eventually(lambda: threading.active_count() <= before)


def test_one_thread_at_most_waits_for_a_model() -> None:
    models = Residency(ttl=300)
    before = threading.active_count()
    for _ in range(50):
        load(models, "a")
    assert eventually(lambda: threading.active_count() <= before + 1)
    models.unload_unused()
    assert eventually(lambda: threading.active_count() <= before)


def test_unloading() -> None:
    models = Residency(ttl=-1)
    assert not models.unload("a")
    with models.use("a", Net, nothing), pytest.raises(ModelInUse, match="a is in use"):
        models.unload("a")
    assert models.unload("a")
    assert models.names() == ()


def test_the_unused_are_unloaded_and_their_memory_is_free() -> None:
    models = Residency(ttl=-1)
    with models.use("used", Net, nothing):
        with models.use("unused", Net, nothing) as model:
            gone = weakref.ref(model)
        del model
        models.unload_unused()
        assert models.names() == ("used",)
    assert gone() is None


def test_all_stay_where_there_is_room() -> None:
    models = models_with(100)
    load(models, "a", "b", needed=megabytes(50))
    assert models.names() == ("a", "b")
    assert models.free_bytes() == 0


def test_the_least_recently_used_makes_room() -> None:
    models = models_with(150)
    load(models, "a", "b", "c", "a", needed=megabytes(50))
    load(models, "d", needed=megabytes(40))
    assert models.names() == ("a", "c", "d")


def test_one_in_use_makes_no_room() -> None:
    models = models_with(100)
    load(models, "b", needed=megabytes(50))
    with models.use("a", Net, megabytes(50)):
        with pytest.raises(ModelUnavailable, match="no memory for the model c"), models.use("c", Net, megabytes(80)):
            pass
        with models.use("c", Net, megabytes(50)):
            assert models.names() == ("a", "c")
    load(models, "c", needed=megabytes(80))


def test_one_that_never_fits_is_refused_before_it_is_loaded() -> None:
    models = models_with(100)
    load(models, "a", needed=megabytes(50))
    with pytest.raises(ModelTooLarge, match="needs 157 MB of memory, this server has 105 MB"):
        load(models, "b", needed=megabytes(150))
    assert models.names() == ("a",), "nothing was dropped for it"


def test_one_on_a_gpu_needs_no_memory_here() -> None:
    models = models_with(-50)
    load(models, "a")
    assert models.names() == ("a",)


def test_a_loaded_model_may_take_less_than_its_loading() -> None:
    models = models_with(100)
    with models.use("a", Net, megabytes(80), kept=lambda _: 30 * 1024**2):
        assert models.bytes_of("a") == 30 * 1024**2
        with models.use("b", Net, megabytes(70)):
            assert models.free_bytes() == 0


def test_what_is_being_loaded_counts_and_keeps_nobody_from_others() -> None:
    models = models_with(100)
    load(models, "a")
    begun, go = threading.Event(), threading.Event()

    def slowly() -> Net:
        begun.set()
        assert go.wait(30)
        return Net()

    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(lambda: load_slowly(models, slowly))
        assert begun.wait(30)
        with models.use("a", never, nothing):
            assert models.names() == ("a",)
        assert models.free_bytes() == 40 * 1024**2
        with pytest.raises(ModelInUse):
            models.unload("slow")
        models.unload_unused()
        go.set()
        loading.result()
    assert models.names() == ("slow",)


def load_slowly(models: Residency, slowly: Callable[[], Net]) -> None:
    with models.use("slow", slowly, megabytes(60)):
        pass


def test_who_waits_for_a_model_that_cannot_be_loaded_tries_again() -> None:
    models = models_with(100)
    begun, go = threading.Event(), threading.Event()

    def fail() -> Net:
        begun.set()
        assert go.wait(30)
        raise OSError("no such model")

    def use(load: Callable[[], Net]) -> str:
        try:
            with models.use("a", load, megabytes(60)):
                return "used"
        except OSError:
            return "failed"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(use, fail)
        assert begun.wait(30)
        second = pool.submit(use, Net)
        go.set()
        assert (first.result(), second.result()) == ("failed", "used")
    assert models.names() == ("a",)


def test_a_failure_leaves_nothing_behind() -> None:
    models = Residency(ttl=0)

    def fail() -> Net:
        raise OSError("no such model")

    with pytest.raises(OSError, match="no such model"), models.use("a", fail, nothing):
        pass
    assert models.names() == ()
    load(models, "a")


@pytest.mark.parametrize("ttl", [0, 0.001, -1])
def test_loading_using_and_unloading_at_once(ttl: float) -> None:
    """All who use a model at a time have the same copy."""
    models = Residency(ttl)
    using = {"a": Counter[Net](), "b": Counter[Net]()}
    lock = threading.Lock()

    def use(name: str) -> None:
        with models.use(name, Net, nothing) as net:
            with lock:
                using[name][net] += 1
                assert len(using[name]) == 1, "a second copy"
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
