"""Renders a role's templates as `ansible.builtin.template` does on a host, without one.

Ansible-core's own template engine does the work (`ansible.template`, 2.19 API), so filters, tests and lookups of
collections, lazy defaults and the failure on undefined variables are those of a deployment.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, generate_ansible_template_vars, trust_as_template

ROLES = Path(__file__).parents[2] / "roles"

# The options of ansible.builtin.template that differ from Jinja's own defaults.
MODULE_OPTIONS = {"trim_blocks": True, "lstrip_blocks": False, "newline_sequence": "\n"}


class Render(Protocol):
    """Callable that renders the template `template` of the role `role`."""

    def __call__(self, role: str, template: str, **variables: Any) -> str:
        """Return the rendered text.

        The role's `defaults/main.yml` and `vars/main.yml` are in force, in this order, and `variables` override both.
        Strings among `variables` may be templates, as in an inventory. Facts are the key `ansible_facts`.

        Raises:
            FileNotFoundError: the role or the template does not exist.
            ansible.errors.AnsibleUndefinedVariable: the template uses a variable that nothing defines.
        """


class Evaluate(Protocol):
    """Callable that gives the value of `variable` in the role `role`."""

    def __call__(self, role: str, variable: str, **variables: Any) -> Any:
        """Return the value, with variables in force as in `Render`.

        Raises:
            ansible.errors.AnsibleUndefinedVariable: the value needs a variable that nothing defines.
        """


@functools.cache
def _find_collections() -> None:
    init_plugin_loader([])


@pytest.fixture(scope="session", autouse=True)
def _collections() -> None:
    """Let Ansible find the collections of the `ansible` package, once a process."""
    _find_collections()


@pytest.fixture
def roles() -> Path:
    """Folder of the roles; a test that brings roles of its own overrides this fixture."""
    return ROLES


@pytest.fixture
def loader() -> Iterator[DataLoader]:
    loader = DataLoader()
    yield loader
    loader.cleanup_all_tmp_files()


@pytest.fixture
def render(roles: Path, loader: DataLoader) -> Render:
    """Fixture: renders a template of a role, see `Render`."""

    def render_template(role: str, template: str, **variables: Any) -> str:
        path = roles / role / "templates" / template
        if not path.is_file():
            raise FileNotFoundError(f"role {role} has no template {template}: {path}")
        known = generate_ansible_template_vars(path=template, fullpath=str(path))
        templar = _templar(loader, roles / role, {**known, **variables})
        templar = templar.copy_with_new_env(searchpath=[str(path.parent), str(roles / role)])
        text = trust_as_template(path.read_text(encoding="utf-8"))
        return str(templar.template(text, escape_backslashes=False, overrides=MODULE_OPTIONS))

    return render_template


@pytest.fixture
def evaluate(roles: Path, loader: DataLoader) -> Evaluate:
    """Fixture: evaluates a variable of a role, see `Evaluate`."""

    def evaluate_variable(role: str, variable: str, **variables: Any) -> Any:
        return _templar(loader, roles / role, variables).template(trust_as_template(f"{{{{ {variable} }}}}"))

    return evaluate_variable


def _templar(loader: DataLoader, role: Path, variables: Mapping[str, Any]) -> Templar:
    # A playbook always knows these; without a host there are no facts to give.
    known = {"ansible_facts": {}, "role_name": role.name, "role_path": str(role)}
    files = (_read_variables(loader, role / kind / "main.yml") for kind in ("defaults", "vars"))
    return Templar(loader=loader, variables={**known, **next(files), **next(files), **_trusted(dict(variables))})


def _read_variables(loader: DataLoader, path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    variables: Mapping[str, Any] | None = loader.load_from_file(str(path), trusted_as_template=True)
    return variables or {}


def _trusted(value: Any) -> Any:
    """Mark every string in `value` as a template, which Ansible does for what it reads from an inventory."""
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, dict):
        return {key: _trusted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_trusted(item) for item in value]
    return value
