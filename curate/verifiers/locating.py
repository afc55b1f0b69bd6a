"""Where a reward function stands: from ``pkg.mod:fn`` or ``path/file.py:fn`` to its file, digest and parameters.

Owns the reading of a function that nobody has imported yet. Must not import the user's code, nor any package above it:
that happens in workers, since a reward may bring torch, and the calling process must stay free of it. So modules are
found by the import system's finders, one level at a time, and names by the syntax tree. What the tree cannot tell
(a decorated function, an instance made by a call) is left to the worker.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module, metadata
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, NamedTuple

from curate.errors import RecipeError

WHERE = "verifier.kind"
HOW = "write package.module:function or path/file.py:function"
RE_EXPORTS = 8
"""How many ``from x import f`` are followed to the file that defines ``f``."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Parameters(NamedTuple):
    """What a function takes."""

    names: tuple[str, ...]
    """In order, keyword-only ones last; without ``*args``, ``**kwargs`` and a method's ``self``."""
    optional: frozenset[str]
    """Those with a default."""
    open: bool
    """Whether it takes ``**kwargs``."""


@dataclass(frozen=True, slots=True)
class Located:
    """A function that was found and not imported."""

    file: Path
    """Of the module that the user named."""
    module: str | None
    """The module's name; None where the user named a file."""
    name: str
    source: str
    """The file that defines the function, by its base name: no machine's path may name a protocol."""
    digest: str
    """16 hex digits over that file."""
    package: str | None
    """The installed distribution and its version, where the function comes from one."""
    parameters: Parameters | None
    """None: only an import can tell."""


class _Module(NamedTuple):
    """A module on disk."""

    file: Path
    name: str | None
    folders: tuple[str, ...]
    """Where the modules that it names absolutely are looked for before the import path."""


def locate(kind: str) -> Located:
    """Find a reward function without importing anything.

    Args:
        kind: ``package.module:function``, found as Python would in the working directory, or
            ``path/file.py:function``, a path from the working directory.

    Raises:
        RecipeError: no such file, module or function; the file is no Python; or what is there cannot be called.
    """
    place, _, name = kind.rpartition(":")
    if not name.isidentifier() or not place:
        raise RecipeError(f"{kind!r} names no function", where=WHERE, hint=HOW)
    start = _file(place) if place.endswith(".py") or "/" in place else _module(place)
    module, found = start, name
    parameters = None
    for _ in range(RE_EXPORTS):
        bindings = _bindings(module, found, first=module is start)
        if len(bindings) != 1:
            break
        binding = bindings[0]
        if isinstance(binding, ast.ImportFrom) and (origin := _origin(module, binding)) is not None:
            module, found = origin, next(a.name for a in binding.names if (a.asname or a.name) == found)
            continue
        parameters = _parameters(binding, kind)
        break
    return Located(
        file=start.file,
        module=start.name,
        name=name,
        source=module.file.name,
        digest=hashlib.sha256(module.file.read_bytes()).hexdigest()[:16],
        package=_distribution(start),
        parameters=parameters,
    )


def load(found: Located) -> Any:
    """Import what was located; only in a worker. A file's own folder is importable from then on.

    Raises:
        RecipeError: the module has no such name after all.
        BaseException: whatever the user's module raises while it is imported.
    """
    import sys

    if found.module is not None:
        sys.path.append(str(Path.cwd()))
        module = import_module(found.module)
    else:
        sys.path.insert(0, str(found.file.parent))
        # Under its own name, as its siblings know it, unless a module of that name is here already.
        stem = found.file.stem if found.file.stem not in sys.modules else f"reward_file_{found.file.stem}"
        spec = spec_from_file_location(stem, found.file)
        assert spec is not None, "a .py file has a loader"
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[stem] = module
        spec.loader.exec_module(module)
    try:
        return getattr(module, found.name)
    except AttributeError:
        raise _missing(found.name, found.file, dir(module)) from None


def parameters_of(function: Any) -> Parameters:
    """What a callable takes, wrappers looked through.

    Raises:
        ValueError, TypeError: it does not tell, as some functions written in C do not.
    """
    named = {
        name: one
        for name, one in signature(function).parameters.items()
        if one.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    }
    return Parameters(
        tuple(named),
        frozenset(name for name, one in named.items() if one.default is not Parameter.empty),
        any(one.kind is Parameter.VAR_KEYWORD for one in signature(function).parameters.values()),
    )


# -- modules ----------------------------------------------------------------------------------------------------------


def _file(place: str) -> _Module:
    file = Path(place).expanduser()
    if file.suffix != ".py":
        raise RecipeError(f"{place!r} is no Python file", where=WHERE, hint=HOW)
    if not file.is_file():
        raise RecipeError(f"there is no file {place!r}", where=WHERE, hint="a path from the working directory")
    file = file.resolve()
    return _Module(file, None, (str(file.parent),))


def _module(name: str) -> _Module:
    found = _find(name, (str(Path.cwd()),))
    if isinstance(found, str):
        hint = f"no module {found!r} in the working directory or among what is installed; {HOW}"
        raise RecipeError(f"there is no module {name!r}", where=WHERE, hint=hint)
    return found


def _find(name: str, folders: tuple[str, ...]) -> _Module | str:
    """A module by its name, or the first part of the name that is not there."""
    top, *inner = name.split(".")
    try:
        # A finder of a top-level name runs no code of the package; a dotted name would import its parents.
        spec = find_spec(top) or PathFinder.find_spec(top, list(folders))
    except ValueError:  # a name such as __main__, or none at all
        spec = None
    path = top
    for part in inner:
        if spec is None or spec.submodule_search_locations is None:
            return path if spec is None else f"{path}.{part}"
        path = f"{path}.{part}"
        spec = PathFinder.find_spec(path, list(spec.submodule_search_locations))
    file = _file_of(spec)
    return path if file is None else _Module(file, name, folders)


def _file_of(spec: ModuleSpec | None) -> Path | None:
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def _origin(module: _Module, statement: ast.ImportFrom) -> _Module | None:
    """The module that a ``from`` statement names, where it can be found."""
    name = statement.module or ""
    if statement.level:
        if module.name is None:
            return None
        package = module.name.split(".")
        if module.file.name != "__init__.py":
            package.pop()
        package = package[: len(package) - statement.level + 1]
        name = ".".join([*package, *([name] if name else [])])
    elif module.name is None and (beside := PathFinder.find_spec(name.partition(".")[0], list(module.folders))):
        file = _file_of(beside) if "." not in name else None
        return _Module(file, name, module.folders) if file else None
    found = _find(name, module.folders)
    return None if isinstance(found, str) else found


def _distribution(module: _Module) -> str | None:
    """The installed distribution that a module belongs to, with its version; None for a module of no distribution."""
    if module.name is None or not {"site-packages", "dist-packages"} & set(module.file.parts):
        return None
    top = module.name.partition(".")[0]
    try:
        return f"{top} {metadata.version(top)}"  # most are named as their package is, and the others take a search
    except metadata.PackageNotFoundError:
        names = metadata.packages_distributions().get(top, ())
    return ", ".join(f"{name} {metadata.version(name)}" for name in sorted(set(names))) or None


# -- names ------------------------------------------------------------------------------------------------------------


def _bindings(module: _Module, name: str, *, first: bool) -> list[ast.AST]:
    """Every statement of a module that gives a name its meaning; empty where only an import can tell."""
    if module.file.suffix != ".py":
        return []
    try:
        tree = ast.parse(module.file.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise RecipeError(f"{module.file.name}{line}: not Python: {error.args[0]}", where=WHERE) from error
    named = list(_named(tree.body))
    found = [statement for one, statement in named if one == name]
    if not found and first and not any(one == "*" for one, _ in named) and not _makes_names(tree, named):
        raise _missing(name, module.file, [one for one, _ in named])
    return found


def _named(body: list[Any]) -> Iterator[tuple[str, ast.AST]]:
    """Names that statements bind at module level, those inside ``if``, ``try`` and ``with`` included."""
    for statement in body:
        if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
            yield statement.name, statement
            continue
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name.partition(".")[0], statement) for alias in statement.names)
            continue
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                yield from ((node.id, statement) for node in ast.walk(target) if isinstance(node, ast.Name))
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from _named(getattr(statement, field, []))


def _makes_names(tree: ast.AST, named: list[tuple[str, ast.AST]]) -> bool:
    """Whether a module may have names that its text does not show."""
    tricks = {"globals", "exec", "setattr", "vars", "modules"}
    written = {getattr(node, "id", None) or getattr(node, "attr", None) for node in ast.walk(tree)}
    return bool(tricks & written) or "__getattr__" in dict(named)


def _parameters(binding: ast.AST, kind: str) -> Parameters | None:
    if isinstance(binding, _FUNCTIONS):
        return None if binding.decorator_list else _taken(binding.args, method=False)
    if isinstance(binding, ast.ClassDef):
        calls = [one for one in binding.body if isinstance(one, _FUNCTIONS) and one.name == "__call__"]
        plain = len(calls) == 1 and not calls[0].decorator_list and not binding.decorator_list
        return _taken(calls[0].args, method=True) if plain else None
    value = getattr(binding, "value", None)
    literal = isinstance(value, ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.Set | ast.JoinedStr)
    if isinstance(binding, ast.Import) or (literal and isinstance(binding, ast.Assign | ast.AnnAssign)):
        raise RecipeError(f"{kind!r} is no function", where=WHERE, hint=HOW)
    return None


def _taken(arguments: ast.arguments, *, method: bool) -> Parameters:
    places = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    optional = places[len(places) - len(arguments.defaults) :] if arguments.defaults else []
    optional += [
        one.arg for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is not None
    ]
    names = [*places[1 if method else 0 :], *(one.arg for one in arguments.kwonlyargs)]
    return Parameters(tuple(names), frozenset(optional), arguments.kwarg is not None)


def _missing(name: str, file: Path, names: list[str]) -> RecipeError:
    public = [one for one in dict.fromkeys(names) if not one.startswith("__")]
    close = get_close_matches(name, public, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"it has: {', '.join(public) or 'no names'}"
    return RecipeError(f"{file.name} has no function {name!r}", where=WHERE, hint=hint)
