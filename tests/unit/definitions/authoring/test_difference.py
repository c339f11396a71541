"""What changed from one manifest to the next."""

from __future__ import annotations

from hedgerow.manifest.difference import Change, Difference, compare
from hedgerow.manifest.model import Asset, Check, Computation, Environment, Manifest


def manifest(
    *keys: str, queue: str = "default", code: str = "1", group: str = "g", blocking: bool = False, **packages: str
):
    return Manifest(
        "sales",
        "sales",
        assets=tuple(Asset(key, computation=key, group=group) for key in keys),
        computations=tuple(Computation(key, (key,), queue=queue, code_version=code) for key in keys),
        checks=tuple(Check("c", key, blocking=blocking) for key in keys),
        environment=Environment(packages=packages),
    )


def test_assets_come_and_go() -> None:
    assert compare(manifest("a", "b"), manifest("b", "c")) == Difference(added=("c",), removed=("a",))


def test_a_change_says_whether_it_is_the_code_and_what_else() -> None:
    assert compare(manifest("a"), manifest("a", code="2")).changed == (Change("a", code=True),)
    changed = compare(manifest("a"), manifest("a", queue="heavy", group="h", blocking=True)).changed
    assert changed == (Change("a", fields=("checks", "group", "queue")),)


def test_packages_are_compared_by_version() -> None:
    assert compare(manifest(polars="1", x="1"), manifest(polars="2", y="1")).packages == ("polars", "x", "y")


def test_nothing_changed_is_false() -> None:
    assert not compare(manifest("a"), manifest("a"))
