"""What `serve` is told to serve: an object of a module, found and imported."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from inference_gateway.telemetry.stacks import traceback_of


def named(target: str) -> tuple[str, str]:
    """Return module and object of `module:object`. Raises `click.UsageError` for what has not this form."""
    module_name, _, attribute = target.partition(":")
    if os.sep in module_name or Path(module_name).is_file():
        raise click.UsageError(_module_of_file(module_name, attribute))
    if not module_name or not attribute:
        raise click.UsageError(
            f"{target!r} does not name an object: write module:object, such as my_model:model"
        )
    return module_name, attribute


def resolve(target: str) -> Any:
    """Return the object that `module:object` names.

    Raises `click.UsageError` where there is none, and another `click.ClickException` where the module cannot
    be imported; its author then finds the traceback on standard error.
    """
    module_name, attribute = named(target)
    folder = Path.cwd()
    sys.path.insert(0, str(folder))
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):  # one that the module itself imports
            raise _not_imported(module_name, error, folder) from None
        if module_name.endswith(".py"):
            raise click.UsageError(_module_of_file(module_name, attribute)) from None
        raise click.UsageError(
            f"there is no module {module_name!r} here or on PYTHONPATH: run this in the folder that has it"
        ) from None
    except (Exception, SystemExit) as error:
        raise _not_imported(module_name, error, folder) from None
    _check_origin(found, module_name, folder)
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise click.UsageError(f"module {module_name!r} has no {attribute!r}") from None
    return found


def _module_of_file(file: str, attribute: str) -> str:
    """Return what to say where a module is named by its file."""
    path = Path(file).with_suffix("")
    inside = not path.is_absolute() and ".." not in path.parts
    module = ".".join(path.parts) if inside else path.name
    where = "" if inside else f" in the folder {path.parent}"
    return (
        "name the module, not its file: leave out .py and write dots for slashes, "
        f"{module}:{attribute or 'model'}{where}"
    )


def _check_origin(module: ModuleType, name: str, folder: Path) -> None:
    """Raise `click.UsageError` where a module of this name lies here, and another one was imported."""
    mine = folder.joinpath(*name.split("."))
    if mine.with_suffix(".py").exists() or (mine / "__init__.py").exists():
        origin = getattr(module, "__file__", None)
        if origin is None or Path(origin).resolve().parent not in (mine.resolve(), mine.parent.resolve()):
            raise click.UsageError(
                f"{name} is the name of another module, which Python takes instead of yours: rename yours"
            )


def _not_imported(name: str, error: BaseException, folder: Path) -> click.ClickException:
    """Print the traceback, and return what to say after it."""
    click.echo(traceback_of(error), err=True, nl=False)
    hint = _how_to_install(error, folder) + "".join(
        f"; {file.name} here hides Python's own module {file.stem}: rename it"
        for file in sorted(folder.glob("*.py"))
        if file.stem in sys.stdlib_module_names
        and getattr(sys.modules.get(file.stem), "__file__", None) == str(file)
    )
    return _Unusable(f"{name} cannot be imported ({type(error).__name__}){hint}")


def not_made(target: str, error: Exception) -> click.ClickException:
    """Print the traceback of a class that could not be made an instance, and return what to say after it."""
    click.echo(traceback_of(error), err=True, nl=False)
    return _Unusable(f"{target}() failed ({type(error).__name__})")


def _how_to_install(error: BaseException, folder: Path) -> str:
    """Return what to do about a package that is missing."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None or "." in error.name:
        return ""
    if "pip install" in str(error):  # one of this package's own extras
        return f": {error}"
    how = ": pip install -r requirements.txt" if (folder / "requirements.txt").is_file() else ""
    return f": it needs {error.name}{how}"


class _Unusable(click.ClickException):
    exit_code = 2
