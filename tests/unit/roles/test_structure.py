"""Every role declares what it takes, documents it, and has no file that nothing uses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.role_readme import read_defaults, read_specs, read_yaml, readme, role_folders

every_role = pytest.mark.parametrize("role", role_folders(), ids=lambda role: role.name)


def every_option(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the dotted name and the spec of each option, and of the options within it."""
    for name, option in options.items():
        yield prefix + name, option
        yield from every_option(option.get("options", {}), f"{prefix}{name}.")


def test_there_are_roles() -> None:
    assert role_folders()


@every_role
def test_the_spec_names_exactly_the_defaults(role: Path) -> None:
    assert set(read_specs(role)["main"].get("options", {})) == set(read_defaults(role))


@every_role
def test_a_default_in_the_spec_is_the_real_one(role: Path) -> None:
    options = read_specs(role)["main"].get("options", {})
    documented = {name: option["default"] for name, option in options.items() if "default" in option}
    defaults = read_defaults(role)
    assert documented == {name: defaults.get(name) for name in documented}


@every_role
def test_entry_points_are_described_and_exist(role: Path) -> None:
    for entry_point, spec in read_specs(role).items():
        assert spec.get("short_description"), f"{entry_point} has no short_description"
        assert (role / "tasks" / f"{entry_point}.yml").is_file(), f"there is no tasks/{entry_point}.yml"


@every_role
def test_options_have_a_type_and_a_description(role: Path) -> None:
    for entry_point, spec in read_specs(role).items():
        for name, option in every_option(spec.get("options", {})):
            assert option.get("type"), f"{name} of {entry_point} has no type"
            assert option.get("description"), f"{name} of {entry_point} has no description"
            if option["type"] == "list":
                assert option.get("elements"), f"{name} of {entry_point} does not say what its elements are"


@every_role
def test_public_variables_bear_the_name_of_the_role(role: Path) -> None:
    assert [name for name in read_defaults(role) if not name.startswith(f"{role.name}_")] == []


@every_role
def test_internal_variables_bear_the_name_of_the_role(role: Path) -> None:
    names = [name for path in (role / "vars").glob("*.yml") for name in read_yaml(path)]
    assert [name for name in names if not name.startswith(f"__{role.name}_")] == []


@every_role
def test_no_result_of_a_task_hides_a_variable(role: Path) -> None:
    variables = {*read_defaults(role), *(name for path in (role / "vars").glob("*.yml") for name in read_yaml(path))}
    tasks = "\n".join(path.read_text(encoding="utf-8") for path in files_of(role, "tasks", "handlers"))
    assert set(re.findall(r"^ *register: (\w+)$", tasks, re.MULTILINE)) & variables == set()


@every_role
def test_every_variable_is_used(role: Path) -> None:
    defaults = read_defaults(role)
    sources = files_of(role, "tasks", "handlers", "templates", "vars")
    text = "\n".join([*(path.read_text(encoding="utf-8") for path in sources), yaml.safe_dump(list(defaults.values()))])
    assert [name for name in defaults if not re.search(rf"\b{name}\b", text)] == []


@every_role
def test_every_file_is_used(role: Path) -> None:
    entry_points = {role / "tasks" / f"{entry_point}.yml" for entry_point in read_specs(role)}
    text_of = {
        path: path.read_text(encoding="utf-8")
        for path in files_of(role, "tasks", "handlers", "templates", "vars", "defaults")
    }
    # A lock file's source is used by `make lock`, not by the role.
    for path in [path for path in files_of(role, "tasks", "templates", "files") if path.name != "requirements.in"]:
        name = path.relative_to(role).parts[1].removesuffix(".j2")
        others = [text for other, text in text_of.items() if other != path]
        assert path in entry_points or any(name in text for text in others), f"nothing uses {path.relative_to(role)}"


@every_role
def test_no_folder_is_empty(role: Path) -> None:
    assert [folder.name for folder in role.iterdir() if folder.is_dir() and not any(folder.iterdir())] == []


@every_role
def test_the_readme_is_what_make_docs_writes(role: Path) -> None:
    path = role / "README.md"
    assert path.is_file(), "there is no README.md: run `make docs`"
    assert path.read_text(encoding="utf-8") == readme(role), "README.md is out of date: run `make docs`"


def files_of(role: Path, *folders: str) -> list[Path]:
    """Return the files in these folders of the role, at any depth, without what Python compiled of them."""
    paths = [path for folder in folders for path in sorted((role / folder).rglob("*")) if path.is_file()]
    return [path for path in paths if path.suffix != ".pyc"]
