"""Writes the README of every role from its argument spec and its defaults: `make docs`.

The format of `meta/argument_specs.yml` is that of Ansible's "Role argument validation".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml

ROLES = Path(__file__).parents[1] / "roles"

Options: TypeAlias = Mapping[str, Mapping[str, Any]]

# Ansible's markup for values, options and code, as in C(present).
CODE_MARKUP = re.compile(r"\b[CEOV]\(([^)]*)\)")


def role_folders() -> list[Path]:
    """Return the folders of all roles with tasks, sorted by name; one has actions for the others alone."""
    return sorted(path for path in ROLES.iterdir() if (path / "tasks").is_dir())


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; an absent or an empty file is an empty mapping."""
    if not path.exists():
        return {}
    content: dict[str, Any] | None = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content or {}


def read_specs(role: Path) -> dict[str, dict[str, Any]]:
    """Return the argument specs of a role by entry point."""
    specs: dict[str, dict[str, Any]] = read_yaml(role / "meta" / "argument_specs.yml").get("argument_specs", {})
    return specs


def read_defaults(role: Path) -> dict[str, Any]:
    """Return the variables of `defaults/main.yml`, templates unrendered."""
    return read_yaml(role / "defaults" / "main.yml")


def readme(role: Path) -> str:
    """Return the README of a role.

    Raises:
        KeyError: the role has no spec for `main`, or the spec lacks a description or an option its type.
    """
    specs = read_specs(role)
    main = specs["main"]
    lines = [f"# {role.name}", "", _sentence(main["short_description"]), ""]
    for paragraph in _paragraphs(main["description"]):
        lines += [paragraph, ""]
    if "options" in main:
        lines += ["## Variables", "", *_table(main["options"], read_defaults(role)), ""]
    others = {name: spec for name, spec in specs.items() if name != "main"}
    if others:
        lines += ["## Other entry points", ""]
        lines += ["For `ansible.builtin.include_role` with `tasks_from`.", ""]
        for name, spec in others.items():
            lines.append(f"- `{name}`: {_markdown(spec['short_description'])}")
        lines.append("")
    lines.append("<!-- Written by `make docs` from meta/argument_specs.yml and defaults/main.yml. -->")
    return "\n".join(lines) + "\n"


def _table(options: Options, defaults: Mapping[str, Any]) -> Iterator[str]:
    yield "| variable | type | default | description |"
    yield "|---|---|---|---|"
    for name, option in options.items():
        yield _row(name, option, defaults.get(name))
        yield from _suboption_rows(name, option)


def _suboption_rows(parent: str, option: Mapping[str, Any]) -> Iterator[str]:
    prefix = f"{parent}[]." if option["type"] == "list" else f"{parent}."
    for name, suboption in option.get("options", {}).items():
        yield _row(prefix + name, suboption, suboption.get("default"))
        yield from _suboption_rows(prefix + name, suboption)


def _row(name: str, option: Mapping[str, Any], default: Any) -> str:
    kind = f"{option['type']} of {option['elements']}" if "elements" in option else option["type"]
    description = " ".join(_paragraphs(option["description"]))
    if "choices" in option:
        description += " One of " + ", ".join(_code(choice) for choice in option["choices"]) + "."
    shown = "required" if option.get("required") else "" if default is None else _code(default)
    return "| " + " | ".join(_cell(text) for text in (f"`{name}`", kind, shown, description)) + " |"


def _code(value: Any) -> str:
    text = value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True, width=10_000)
    text = " ".join(text.removesuffix("...\n").split())
    return f"`{text}`" if text else '`""`'


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _paragraphs(description: str | list[str]) -> list[str]:
    return [_markdown(text) for text in ([description] if isinstance(description, str) else description)]


def _markdown(text: str) -> str:
    return CODE_MARKUP.sub(r"`\1`", text.strip())


def _sentence(text: str) -> str:
    return _markdown(text).removesuffix(".") + "."


def main() -> None:
    """Write every README that differs from what it should be, and say which."""
    for role in role_folders():
        path = role / "README.md"
        text = readme(role)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"written: {path.relative_to(ROLES.parent)}")


if __name__ == "__main__":
    main()
