"""Deciding what each parameter of a team's function receives: context, resource, config or the value of an upstream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hedgerow.annotations import Absent, Parameter, Signature, Unresolved, display_name, without_none
from hedgerow.arguments import Arguments, suggestion
from hedgerow.configuration import config_schema, is_config_type
from hedgerow.context import Context
from hedgerow.dependencies import Dep
from hedgerow.execution import Call, InputParameter
from hedgerow.identifiers import is_asset_key
from hedgerow.manifest.model import Dependency
from hedgerow.resource import Resource

# Two keys this alike are taken for a slip of the pen; less alike, the upstream may well belong to another team.
NEAR = 0.85


class Parameters:
    """Reads one function's parameters; what is wrong with them is noted in `arguments`.

    `local` are the keys that the location declares, `resources` its instances by type, `named` those that stand in for the
    resource of a parameter's name, whatever their type, `context` the type of what tells the function about its call.
    """

    def __init__(
        self,
        arguments: Arguments,
        local: Iterable[str],
        resources: Mapping[type, Resource],
        named: Mapping[str, Resource],
        context: type = Context,
    ) -> None:
        self._context = context
        self._arguments = arguments
        self._local = frozenset(local)
        self._resources = resources
        self._named = named
        self._contexts: list[str] = []
        self._found: dict[str, Resource] = {}
        self._config: tuple[str, object, bool] | None = None
        self._inputs: list[InputParameter] = []

    def of_asset(self, signature: Signature, deps: tuple[Dep, ...]) -> tuple[Call, tuple[Dependency, ...]]:
        """How to call an asset's function, and its edges: declared ones first, in order, then those of the parameters."""
        names = {one.name for one in signature.parameters}
        receivers = self._receivers(names, deps)
        edges = {one.key: Dependency(one.key, None, "", one.mapping, one.optional) for one in deps}
        for parameter in signature.parameters:
            dep = receivers.get(parameter.name)
            if not self._shape_is_fine(parameter) or (dep is None and self._is_service(parameter)):
                continue
            if dep is None and parameter.name in self._local:
                dep = Dep(parameter.name)
            if dep is None and self._is_config(parameter):
                continue
            if dep is None and self._may_be_elsewhere(parameter):
                dep = Dep(parameter.name)
            if dep is not None:
                edges[dep.key] = self._edge(parameter, dep)
        return self._call(), tuple(edges.values())

    def of_check(self, signature: Signature, asset: str) -> Call:
        """How to call a check's function: the one parameter that is no service receives the value."""
        for parameter in signature.parameters:
            if not self._shape_is_fine(parameter) or self._is_service(parameter):
                continue
            if self._inputs:
                self._arguments.refuse(
                    "HR-D005",
                    f"{self._arguments.what}: a check takes one value, but has the parameters "
                    f"{self._inputs[0].parameter!r} and {parameter.name!r}.",
                    "Keep one; annotate the others with hr.Context or a resource.",
                )
                continue
            self._edge(parameter, Dep(asset))
        return self._call()

    def of_evaluation(self, signature: Signature) -> Call:
        """How to call a function that is evaluated outside of steps: it takes nothing but its context and resources."""
        wanted = f"hr.{self._context.__name__}"
        for parameter in signature.parameters:
            if self._shape_is_fine(parameter) and not self._is_service(parameter):
                self._unknown(
                    f"{self._arguments.what}: parameter {parameter.name!r} is neither {wanted} nor a resource.",
                    f"Write ctx: {wanted}; clients and settings belong into an hr.Resource.",
                )
        return self._call()

    def _call(self) -> Call:
        return Call(tuple(self._contexts), dict(self._found), self._config, tuple(self._inputs))

    def _receivers(self, names: set[str], deps: tuple[Dep, ...]) -> dict[str, Dep]:
        receivers: dict[str, Dep] = {}
        for dep in deps:
            if dep.parameter is None:
                continue
            if dep.parameter not in names:
                self._unknown(
                    f"{self._arguments.what} has no parameter {dep.parameter!r} for the upstream {dep.key!r}.",
                    suggestion(dep.parameter, names) + "Name a parameter of the function.",
                )
            elif dep.parameter in receivers:
                self._unknown(
                    f"{self._arguments.what}: parameter {dep.parameter!r} is named for two upstreams.",
                    "Name it for one.",
                )
            receivers[dep.parameter] = dep
        exact = {dep.key: dep for dep in deps if dep.parameter is None}
        for name in names - receivers.keys():
            by_last_part = [dep for dep in exact.values() if dep.key.rpartition("/")[2] == name]
            if name in exact:
                receivers[name] = exact[name]
            elif len(by_last_part) == 1:
                receivers[name] = by_last_part[0]
            elif by_last_part:
                keys = " and ".join(repr(dep.key) for dep in by_last_part)
                self._unknown(
                    f"{self._arguments.what}: parameter {name!r} may stand for {keys}.",
                    f'Say which: hr.dep("{by_last_part[0].key}", parameter="{name}").',
                )
                receivers[name] = by_last_part[0]
        return receivers

    def _shape_is_fine(self, parameter: Parameter) -> bool:
        if not (parameter.positional_only or parameter.variadic):
            return True
        self._arguments.refuse(
            "HR-D013",
            f"{self._arguments.what}: parameter {parameter.name!r} is "
            + ("positional-only." if parameter.positional_only else "variable (* or **)."),
            "Give every parameter a name of its own; several upstreams that are only waited for go into deps=[...].",
        )
        return False

    def _is_service(self, parameter: Parameter) -> bool:
        annotation = without_none(parameter.annotation)
        if isinstance(annotation, type) and issubclass(annotation, self._context):
            self._contexts.append(parameter.name)
            return True
        if isinstance(annotation, type) and issubclass(annotation, Resource):
            instance = self._instance_of(annotation, parameter)
            if instance is not None:
                self._found[parameter.name] = instance
            return True
        return False

    def _instance_of(self, wanted: type[Resource], parameter: Parameter) -> Resource | None:
        if parameter.name in self._named:
            return self._named[parameter.name]
        if wanted in self._resources:
            return self._resources[wanted]
        fitting = [one for kind, one in self._resources.items() if issubclass(kind, wanted)]
        if len(fitting) == 1:
            return fitting[0]
        what = f"{self._arguments.what}: parameter {parameter.name!r} asks for the resource {wanted.__qualname__}"
        if fitting:
            names = ", ".join(sorted(type(one).__qualname__ for one in fitting))
            self._arguments.refuse("HR-D015", f"{what}, which {names} all are.", "Annotate it with one of these types.")
        else:
            known = [kind.__qualname__ for kind in self._resources]
            self._arguments.refuse(
                "HR-D014",
                f"{what}, of which there is no instance.",
                f"{suggestion(wanted.__qualname__, known)}Make one at module level in a listed module: "
                f"{parameter.name} = {wanted.__qualname__}(...).",
            )
        return None

    def _is_config(self, parameter: Parameter) -> bool:
        annotation = without_none(parameter.annotation)
        if not is_config_type(annotation):
            return False
        try:
            config_schema(annotation)
        except Exception as error:  # whatever a team's own types raise while they are looked at
            self._arguments.refuse(
                "HR-D011",
                f"{self._arguments.what}: the config {annotation.__qualname__} can't be described as JSON: {_last_line(error)}.",
                "Use fields of plain types: text, numbers, dates, lists, mappings, enums, structs.",
            )
        if self._config is not None:
            self._arguments.refuse(
                "HR-D011",
                f"{self._arguments.what} takes two configs, {self._config[0]!r} and {parameter.name!r}.",
                "Put one into the other as a field; if one is an upstream's value, name it in deps=[...].",
            )
        self._config = (parameter.name, annotation, parameter.has_default)
        return True

    def _may_be_elsewhere(self, parameter: Parameter) -> bool:
        """Whether an undeclared name may be another team's asset; notes a problem when it can't be, or is likely a slip."""
        name, what = parameter.name, self._arguments.what
        near = suggestion(name, self._local, NEAR)
        namesakes = sorted(key for key in self._local if key.rpartition("/")[2] == name)
        if name in ("ctx", "context") and parameter.annotation is Absent:
            self._unknown(f"{what}: parameter {name!r} has no annotation.", f"Write {name}: hr.Context.")
        elif namesakes:
            self._unknown(
                f"{what}: parameter {name!r} names no declared upstream.",
                f"Did you mean {namesakes[0]!r}? Then write deps=[{namesakes[0]!r}].",
            )
        elif near or parameter.has_default or not is_asset_key(name):
            kind = "has a default value, but " if parameter.has_default else ""
            self._unknown(
                f"{what}: parameter {name!r} {kind}names no declared upstream.",
                f'{near}Name another team\'s asset with deps=[hr.dep("the/key", parameter={name!r})]; '
                "settings belong into a config (a dataclass or hr.Config), clients into an hr.Resource.",
            )
        else:
            return True
        return False

    def _edge(self, parameter: Parameter, dep: Dep) -> Dependency:
        annotation = parameter.annotation
        if isinstance(annotation, Unresolved):
            self._arguments.refuse(
                "HR-D016",
                f"{self._arguments.what}: the annotation {annotation.text!r} of parameter {parameter.name!r} can't be "
                f"evaluated: {annotation.why}.",
                "Import the type where it exists at run time (not under TYPE_CHECKING): values are loaded by it.",
            )
        if any(one.key == dep.key for one in self._inputs):
            self._arguments.refuse(
                "HR-D021",
                f"{self._arguments.what}: two parameters take the value of {dep.key!r}, the second is {parameter.name!r}.",
                "Keep one of them.",
            )
        known = None if annotation is Absent or isinstance(annotation, Unresolved) else without_none(annotation)
        self._inputs.append(InputParameter(parameter.name, dep.key, known, dep.optional, parameter.has_default))
        shown = "" if known is None else display_name(known)
        return Dependency(dep.key, parameter.name, shown, dep.mapping, dep.optional)

    def _unknown(self, message: str, remedy: str) -> None:
        self._arguments.refuse("HR-D005", message, remedy)


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1].rstrip(".")
