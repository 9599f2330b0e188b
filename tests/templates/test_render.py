"""The render harness itself, shown on a role made for the purpose."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleError, AnsibleUndefinedVariable

from tests.templates.conftest import Render

DEFAULTS = """
greeter_name: world
greeter_greeting: "Hello, {{ greeter_name }}"
greeter_options: {}
"""

TEMPLATE = """\
{{ ansible_managed | comment }}
{% if greeter_loud | default(false) %}
{{ greeter_greeting | upper }}!
{% else %}
{{ greeter_greeting }}, {{ __greeter_place }}.
{% endif %}
{{ {'a': 1} | combine(greeter_options) | to_json }}
"""


@pytest.fixture
def roles(tmp_path: Path) -> Path:
    """A folder with the one role `greeter`."""
    for kind, name, text in (
        ("defaults", "main.yml", DEFAULTS),
        ("vars", "main.yml", "__greeter_place: here\n"),
        ("templates", "greeting.j2", TEMPLATE),
        ("templates", "undefined.j2", "{{ greeter_missing }}"),
        ("templates", "collection.j2", "{{ {'a': 1} | community.general.dict_kv('k') | to_json }}"),
        ("templates", "include.j2", "{% include 'greeting.j2' %}"),
        ("templates", "backslash.j2", r"{{ 'a\\.b' }} \d"),
    ):
        folder = tmp_path / "greeter" / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_uses_the_defaults_and_the_variables_of_the_role(render: Render) -> None:
    assert render("greeter", "greeting.j2") == '#\n# Ansible managed\n#\nHello, world, here.\n{"a": 1}\n'


def test_a_given_variable_overrides_a_default_and_the_defaults_made_from_it(render: Render) -> None:
    assert "Hello, Ada, here." in render("greeter", "greeting.j2", greeter_name="Ada")


def test_a_given_string_may_be_a_template(render: Render) -> None:
    assert "Hello, moon, here." in render("greeter", "greeting.j2", greeter_name="{{ planet }}", planet="moon")


def test_blocks_are_trimmed_as_on_a_host(render: Render) -> None:
    assert "#\nHELLO, WORLD!\n{" in render("greeter", "greeting.j2", greeter_loud=True)


def test_containers_reach_the_filters(render: Render) -> None:
    text = render("greeter", "greeting.j2", greeter_options={"b": ["{{ greeter_name }}"]})
    assert text.splitlines()[-1] == '{"a": 1, "b": ["world"]}'


def test_templates_can_include_each_other(render: Render) -> None:
    assert render("greeter", "include.j2") == render("greeter", "greeting.j2").rstrip("\n")


def test_filters_of_collections_work(render: Render) -> None:
    assert render("greeter", "collection.j2") == '{"k": {"a": 1}}'


def test_backslashes_mean_what_they_mean_to_jinja(render: Render) -> None:
    assert render("greeter", "backslash.j2") == r"a\.b \d"


def test_an_undefined_variable_fails(render: Render) -> None:
    with pytest.raises(AnsibleUndefinedVariable, match="greeter_missing"):
        render("greeter", "undefined.j2")


def test_an_unknown_filter_fails(render: Render, roles: Path) -> None:
    (roles / "greeter/templates/filter.j2").write_text("{{ 1 | no.such.filter }}", encoding="utf-8")
    with pytest.raises(AnsibleError, match=r"no\.such\.filter"):
        render("greeter", "filter.j2")


def test_a_missing_template_fails_by_name(render: Render) -> None:
    with pytest.raises(FileNotFoundError, match=r"greeter has no template nothing\.j2"):
        render("greeter", "nothing.j2")
