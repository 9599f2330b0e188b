"""What `make docs` makes of an argument spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.role_readme import readme

SPEC = """
argument_specs:
  main:
    short_description: Greets people
    description:
      - First paragraph, with C(code).
      - Second paragraph.
    options:
      greeter_names:
        description: Whom to greet.
        type: list
        elements: dict
        required: true
        options:
          given:
            description: Given name.
            type: str
            default: Ada
      greeter_mood:
        description: [How., "Not O(loud|quiet)."]
        type: str
        choices: [glad, sad]
      greeter_quiet:
        description: Whether to whisper.
        type: bool
      greeter_suffix:
        description: What follows.
        type: str
  validate:
    short_description: Checks of the variables
"""

DEFAULTS = """
greeter_names: []
greeter_mood: >-
  {{ 'glad'
     if greeter_quiet else 'sad' }}
greeter_quiet: false
greeter_suffix: ""
"""

README = """\
# greeter

Greets people.

First paragraph, with `code`.

Second paragraph.

## Variables

| variable | type | default | description |
|---|---|---|---|
| `greeter_names` | list of dict | required | Whom to greet. |
| `greeter_names[].given` | str | `Ada` | Given name. |
| `greeter_mood` | str | `{{ 'glad' if greeter_quiet else 'sad' }}` | How. Not `loud\\|quiet`. One of `glad`, `sad`. |
| `greeter_quiet` | bool | `false` | Whether to whisper. |
| `greeter_suffix` | str | `""` | What follows. |

## Other entry points

For `ansible.builtin.include_role` with `tasks_from`.

- `validate`: Checks of the variables

<!-- Written by `make docs` from meta/argument_specs.yml and defaults/main.yml. -->
"""


@pytest.fixture
def greeter(tmp_path: Path) -> Path:
    """A role folder with a spec and defaults."""
    for name, text in (("meta/argument_specs.yml", SPEC), ("defaults/main.yml", DEFAULTS)):
        path = tmp_path / "greeter" / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "greeter"


def test_readme(greeter: Path) -> None:
    assert readme(greeter) == README


def test_a_role_without_a_spec_fails(greeter: Path) -> None:
    (greeter / "meta/argument_specs.yml").unlink()
    with pytest.raises(KeyError, match="main"):
        readme(greeter)
