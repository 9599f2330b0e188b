"""A step of the demo: what it says while it runs, what is shown when it fails, and how Ctrl-C ends it."""

import os
import re
import signal
import subprocess
from pathlib import Path

STEP = Path(__file__).parents[3] / "demo/step"


def step(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([STEP, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_what_goes_well_is_two_lines(tmp_path: Path) -> None:
    done = step(tmp_path, "Image (base)", "echo", "details")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"── Image \(base\)\n   Image \(base\): \d+ s\n", done.stdout)
    assert (tmp_path / ".cache/demo/Image--base-.log").read_text() == "details\n"


def test_what_is_shown_is_shown_at_once(tmp_path: Path) -> None:
    assert step(tmp_path, "--shown", "Recordings", "echo", "a transcript").stdout.splitlines()[1] == "a transcript"


def test_a_long_step_says_that_it_goes_on(tmp_path: Path) -> None:
    # It counts whole seconds, and a busy machine may skip one.
    assert re.search(r"^   … A long one, [56] s$", step(tmp_path, "A long one", "sleep", "6.5").stdout, re.MULTILINE)


def test_a_failure_shows_what_was_printed(tmp_path: Path) -> None:
    done = step(tmp_path, "A step", "bash", "-c", "echo the reason; exit 3")
    assert done.returncode == 1
    assert done.stderr == "the reason\n\nA step failed, see above and .cache/demo/A-step.log\n"


def test_an_interrupt_ends_the_command_too(tmp_path: Path) -> None:
    command = [str(STEP), "A step", "bash", "-c", "echo $$ > child; sleep 600"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        start_new_session=True,
        # What a shell starts in the background has SIGINT ignored, and so has all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    child = tmp_path / "child"
    while not (child.exists() and child.read_text()):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    process.communicate(timeout=60)  # its end is that of all who could print
    assert process.returncode != 0
    assert not Path(f"/proc/{child.read_text().strip()}").exists()
