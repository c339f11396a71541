"""Loading a code location: its settings, its modules, everything they declare, checked as a whole."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType

import msgspec

from hedgerow.binding import bind, own_problems
from hedgerow.bound import Bound, Surroundings
from hedgerow.declarations import collect
from hedgerow.errors import DefinitionError, Problem
from hedgerow.evaluable import Evaluable
from hedgerow.execution import BoundCheck, BoundComputation
from hedgerow.io import IO
from hedgerow.manifest.bounds import excess
from hedgerow.manifest.build import build_manifest
from hedgerow.manifest.environment import describe_environment
from hedgerow.manifest.lowering import Sources
from hedgerow.manifest.model import Environment, Manifest, encode
from hedgerow.manifest.sources import source_digest
from hedgerow.protocol.events import EvaluationKind
from hedgerow.resource import Resource
from hedgerow.settings.location import LOCATION_FILE, LocationSettings, read_location


@dataclass(frozen=True)
class LoadedLocation:
    """A code location in memory: what it declares as data (`manifest`) and the functions bound to it.

    `computations` by name, `checks` by (asset key, check name), `resources` by type, `ios` by name, `evaluables` by (kind, name).
    """

    settings: LocationSettings
    manifest: Manifest
    computations: Mapping[str, BoundComputation]
    checks: Mapping[tuple[str, str], BoundCheck]
    resources: Mapping[type, Resource]
    ios: Mapping[str, IO]
    evaluables: Mapping[tuple[EvaluationKind, str], Evaluable]


def load_location(root: Path) -> LoadedLocation:
    """Import the code of the location whose hedgerow.toml lies in `root` and bind all that it declares.

    Raises `DefinitionError` with every problem found, each with file (relative to `root`) and line. `root` is put on the module
    search path of this process: a process loads one location.
    """
    settings = read_location(root)
    return load_modules(settings, describe_environment(settings.root))


def load_modules(settings: LocationSettings, environment: Environment) -> LoadedLocation:
    """As `load_location`, with the settings already read."""
    sources = Sources(settings.root)
    modules, not_imported = _import_all(settings)
    declared = collect(modules)
    if not_imported:
        # What is missing may be missing because of the failed import, so nothing is compared now.
        raise DefinitionError(_tidy([*not_imported, *own_problems(declared)], sources))
    bound = bind(declared, Surroundings(frozenset(queue.name for queue in settings.queues), settings.pools), sources)
    if bound.problems:
        raise DefinitionError(_tidy(bound.problems, sources))
    environment = msgspec.structs.replace(environment, source=source_digest(settings.root, settings.modules))
    manifest = build_manifest(settings.team, settings.location, bound, settings.queues, environment)
    if problems := excess(manifest, len(encode(manifest))):
        raise DefinitionError(problems)
    return _loaded(settings, manifest, bound)


def _loaded(settings: LocationSettings, manifest: Manifest, bound: Bound) -> LoadedLocation:
    return LoadedLocation(
        settings, manifest, bound.computations, bound.checks, bound.resources, bound.ios, bound.evaluables
    )


def _import_all(settings: LocationSettings) -> tuple[list[ModuleType], list[Problem]]:
    root = str(settings.root)
    if root not in sys.path:
        sys.path.insert(0, root)
    importlib.invalidate_caches()
    modules: list[ModuleType] = []
    problems: list[Problem] = []
    for name in settings.modules:
        try:
            modules.append(importlib.import_module(name))
        except DefinitionError as error:
            site = _deepest(error.__traceback__, settings)
            problems += [_placed(problem, site) for problem in error.problems]
        except (Exception, SystemExit) as error:
            problem = _import_problem(name, error, settings)
            # Modules that import a broken one break at the same place: once is enough.
            if (problem.file, problem.line) not in {(one.file, one.line) for one in problems}:
                problems.append(problem)
    return modules, problems


def _placed(problem: Problem, site: tuple[str, int] | None) -> Problem:
    if problem.file is not None or site is None:
        return problem
    return msgspec.structs.replace(problem, file=site[0], line=site[1])


def _import_problem(name: str, error: BaseException, settings: LocationSettings) -> Problem:
    what = f"{type(error).__name__}: {error}"
    file, line = _deepest(error.__traceback__, settings) or (str(settings.root / LOCATION_FILE), 1)
    remedy = (
        "Correct the code at this line; `python -c 'import " + name + "'` in the team's environment shows the same."
    )
    if isinstance(error, SyntaxError) and error.filename is not None:
        file, line = error.filename, error.lineno or 1
    elif isinstance(error, ModuleNotFoundError) and error.name is not None:
        if name == error.name or name.startswith(error.name + "."):
            remedy = f"Correct [code] modules in {LOCATION_FILE}: names are looked up from the folder of that file."
        else:
            remedy = f"Install what provides {error.name!r} in the team's environment ({settings.python})."
    elif isinstance(error, SystemExit):
        remedy = 'A module must not end the process when it is imported: put that under `if __name__ == "__main__"`.'
    shown = "".join(traceback.TracebackException.from_exception(_trimmed(error)).format())
    return Problem("HR-D001", f"Module {name!r} can't be imported: {what}", remedy, file, line, shown)


def _frames(trace: TracebackType | None) -> Iterable[tuple[TracebackType, str]]:
    while trace is not None:
        yield trace, trace.tb_frame.f_code.co_filename
        trace = trace.tb_next


def _trimmed(error: BaseException) -> BaseException:
    """The error without the frames of Hedgerow and of the import machinery at its outer end."""
    for trace, file in _frames(error.__traceback__):
        if "importlib" not in file and not file.startswith(_OWN_FOLDER):
            return error.with_traceback(trace)
    return error.with_traceback(None)


def _deepest(trace: TracebackType | None, settings: LocationSettings) -> tuple[str, int] | None:
    """File and line of the innermost frame inside the team's own code: below the root, but not in an environment there."""
    packages = {name.partition(".")[0] for name in settings.modules}
    roots = {str(settings.root) + os.sep, os.path.realpath(settings.root) + os.sep}
    found = None
    for frame, file in _frames(trace):
        below = any(file.startswith(root) for root in roots) and "site-packages" not in file
        module = str(frame.tb_frame.f_globals.get("__name__", ""))
        if below or module.partition(".")[0] in packages:
            found = (file, frame.tb_lineno)
    return found


def _tidy(problems: Iterable[Problem], sources: Sources) -> list[Problem]:
    """Problems without doubles, files relative, in order of file and line."""
    shown = [
        problem if problem.file is None else msgspec.structs.replace(problem, file=sources.relative(problem.file))
        for problem in problems
    ]
    unique = {(one.code, one.message, one.file, one.line): one for one in shown}
    return sorted(unique.values(), key=lambda one: (one.file or "", one.line or 0, one.code, one.message))


_OWN_FOLDER = str(Path(__file__).parent) + os.sep
