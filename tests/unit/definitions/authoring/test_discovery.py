"""What is found in a location's modules, and what the manifest says of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hedgerow.manifest.model import Column, Dependency, PoolUse, Retry, Source, decode, encode
from hedgerow.manifest.sources import source_digest
from hedgerow.partitions import daily, static
from hedgerow.partitions.model import Window


def by_key(location):
    return {asset.key: asset for asset in location.manifest.assets}


def test_an_asset_is_found_with_everything_that_was_declared(load) -> None:
    location = load(
        '''
        class Api(hr.Resource): ...
        api = Api()
        class Settings(hr.Config):
            rounds: int = 3

        @hr.asset(
            key="sales/orders", deps=["raw/x", hr.dep("fx/rates", partitions=hr.mapping.window(-2, 0))],
            partitions=hr.daily("2024-01-01") * hr.static("no", "se", dim="country"),
            retry=hr.Retry(3, delay="30s", backoff="linear", jitter=False), timeout="30m", queue="heavy", priority=5,
            pools=[hr.use("snowflake", slots=2), "api"], group="sales", owners=["team:sales"], kinds={"python", "api"},
            tags={"tier": "gold"}, metadata={"link": "x"}, columns={"id": "int64"}, isolation="process",
        )
        async def orders(ctx: hr.Context, api: Api, settings: Settings) -> list:
            """The orders.

            All of them.
            """
        ''',
        toml='[queues.heavy]\nconcurrency = 2\n[pools.snowflake]\nslots = 8\n[pools.api]\nrate = "5/s"\n',
    )
    asset = by_key(location)["sales/orders"]
    package = location.settings.modules[0].partition(".")[0]
    assert asset.description == "The orders.\n\nAll of them."
    assert (asset.group, asset.owners, asset.kinds) == ("sales", ("team:sales",), ("api", "python"))
    assert (asset.tags, asset.metadata) == ({"tier": "gold"}, {"link": "x"})
    assert asset.columns == (Column("id", "int64"),)
    assert (asset.stored, asset.value_type, asset.io) == (True, "list", None)
    assert asset.source == Source(f"{package}/main.py", 8, f"{package}.main", "orders")

    (computation,) = location.manifest.computations
    assert computation.deps == (Dependency("raw/x"), Dependency("fx/rates", mapping=Window(-2, 0)))
    assert computation.partitions == daily("2024-01-01") * static("no", "se", dim="country")
    assert computation.retry == Retry(3, 30_000, "linear", 600_000, False)
    assert (computation.timeout_ms, computation.queue, computation.priority) == (1_800_000, "heavy", 5)
    assert computation.pools == (PoolUse("api"), PoolUse("snowflake", 2))
    assert computation.resources == (f"{package}.main.Api",)
    assert computation.config_schema is not None
    assert "rounds" in str(computation.config_schema)
    assert (computation.isolation, computation.on_lost_contact) == ("process", "finish")
    assert len(computation.code_version) == 16
    assert decode(encode(location.manifest)) == location.manifest


def test_an_object_imported_by_another_module_of_the_team_counts_once(load) -> None:
    location = load(
        "p = hr.pool('w', slots=1)\nclass R(hr.Resource): ...\nr = R()\n@hr.asset\ndef a(): ...",
        other="from X.main import a, p, r\n@hr.asset\ndef b(a, r: type(r)): ...",
    )
    assert sorted(by_key(location)) == ["a", "b"]
    assert len(location.manifest.pools) == 1


def test_assets_made_in_a_loop_are_found_in_their_list(load) -> None:
    location = load(
        """
        def table(name):
            @hr.asset(key=f"raw/{name}")
            def load() -> str:
                return name
            return load
        tables = [table(name) for name in ("orders", "items")]
        more = {"x": table("x")}
        """
    )
    assert sorted(by_key(location)) == ["raw/items", "raw/orders", "raw/x"]
    assert location.computations["raw/items"].function() == "items"


def test_a_parameter_is_an_upstream_by_its_name_its_deps_last_part_or_its_dep(load) -> None:
    location = load(
        """
        @hr.asset
        def a() -> int: ...
        @hr.asset(deps=["raw/b", hr.dep("raw/c", parameter="see", optional=True), "raw/d"])
        def all_of_them(a: int, b: dict, see: str | None, elsewhere): ...
        """
    )
    computation = location.computations["all_of_them"]
    assert [(one.parameter, one.key, one.annotation) for one in computation.inputs] == [
        ("a", "a", int),
        ("b", "raw/b", dict),
        ("see", "raw/c", str),
        ("elsewhere", "elsewhere", None),
    ]
    assert computation.computation.deps == (
        Dependency("raw/b", "b", "dict"),
        Dependency("raw/c", "see", "str", optional=True),
        Dependency("raw/d"),
        Dependency("a", "a", "int"),
        Dependency("elsewhere", "elsewhere"),
    )


def test_an_upstream_of_struct_type_is_data_and_not_a_config(load) -> None:
    location = load(
        """
        from dataclasses import dataclass
        @dataclass
        class Stats:
            mean: float
        @hr.asset
        def stats() -> Stats: ...
        @hr.asset
        def report(stats: Stats): ...
        """
    )
    assert [one.key for one in location.computations["report"].inputs] == ["stats"]
    assert location.computations["report"].call.config is None


def test_annotations_as_text_are_evaluated_in_their_module(load) -> None:
    location = load("import datetime as d\n@hr.asset\ndef a(x: 'dict[str, d.date]', ctx: 'hr.Context'): ...")
    call = location.computations["a"].call
    assert call.contexts == ("ctx",)
    assert str(call.inputs[0].annotation) == "dict[str, datetime.date]"


def test_a_resource_is_found_by_its_base_type(load) -> None:
    location = load(
        """
        class Store(hr.Resource): ...
        class Disk(Store): ...
        store = Disk()
        @hr.asset
        def a(store: Store): ...
        """
    )
    (instance,) = location.resources.values()
    assert location.computations["a"].call.resources == {"store": instance}


def test_a_multi_asset_is_one_computation_with_several_assets(load) -> None:
    location = load(
        """
        @hr.multi_asset(hr.spec("a", group="x"), hr.spec("b", deps=["a", "up"], description="B."), subset=True)
        def both(up) -> tuple[int, None]:
            "Both."
        """
    )
    assets = by_key(location)
    (computation,) = location.manifest.computations
    assert (computation.name, computation.assets, computation.subset) == ("a", ("a", "b"), True)
    assert computation.deps == (Dependency("up", "up"),)
    assert [(one.stored, one.value_type, one.description) for one in assets.values()] == [
        (True, "int", "Both."),
        (False, "", "B."),
    ]


def test_an_in_place_io_makes_the_step_stop_when_contact_is_lost(load) -> None:
    location = load(
        """
        class Table(hr.IO):
            name = "table"
            immutable = False
        table = Table()
        @hr.asset(io="table")
        def a(): ...
        @hr.asset(io=table, on_lost_contact="finish")
        def b(): ...
        """
    )
    assets, steps = by_key(location), location.computations
    assert (assets["a"].io, assets["a"].immutable) == ("table", False)
    assert steps["a"].computation.on_lost_contact == "stop"
    assert steps["b"].computation.on_lost_contact == "finish"
    assert list(location.ios) == ["table"]


def test_checks_jobs_externals_and_pools_are_in_the_manifest_sorted(load) -> None:
    location = load(
        """
        z = hr.pool("z", slots=1)
        raw = hr.external("raw", description="From elsewhere.")
        nightly = hr.job("nightly", "group:sales+", tags={"a": "b"})
        @hr.asset(deps=[raw])
        def a(): ...
        @hr.check(a, severity="warn")
        def second(value) -> bool:
            "Is it?"
        @hr.check("a", blocking=True, name="first")
        def other(): ...
        """,
        toml="[pools.b]\nslots = 1\n",
    )
    manifest = location.manifest
    assert [(one.name, one.blocking, one.severity, one.description) for one in manifest.checks] == [
        ("first", True, "error", ""),
        ("second", False, "warn", "Is it?"),
    ]
    assert [one.name for one in manifest.pools] == ["b", "z"]
    assert manifest.jobs[0].selection == "group:sales+"
    external = by_key(location)["raw"]
    assert (external.computation, external.stored, external.description) == (None, False, "From elsewhere.")
    assert location.checks["a", "second"].takes_value
    assert not location.checks["a", "first"].takes_value


def test_the_environment_names_python_packages_and_the_commit(load, tmp_path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        done = subprocess.run(
            ["git", *identity, "-C", str(tmp_path), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "notes.txt").write_text("one")
    git("add", "notes.txt")
    git("commit", "-q", "-m", "one")
    commit = git("rev-parse", "HEAD")
    environment = load("@hr.asset\ndef a(): ...").manifest.environment
    assert environment.python.startswith("3.")
    assert "msgspec" in environment.packages
    assert environment.commit == commit
    (tmp_path / "notes.txt").write_text("two")

    from hedgerow.manifest.environment import describe_environment

    assert describe_environment(tmp_path).commit == commit + "+"


def test_the_same_code_gives_the_same_manifest_and_moving_it_changes_only_its_place(load, location) -> None:
    from hedgerow.manifest.difference import compare

    first = load("@hr.asset\ndef a(): return 1").manifest
    moved = load("\n\n@hr.asset\ndef a(): return 1").manifest
    changed = load("@hr.asset\ndef a(): return 2").manifest
    assert not compare(first, moved)
    assert [(one.key, one.code) for one in compare(first, changed).changed] == [("a", True)]


def test_an_object_that_answers_for_its_class_with_an_exception_is_passed_over(load) -> None:
    location = load(
        """
        class Proxy:
            @property
            def __class__(self):
                raise RuntimeError("no context")
        current = Proxy()
        others = [Proxy()]
        @hr.asset
        def a(): ...
        """
    )
    assert list(by_key(location)) == ["a"]


def test_other_source_is_another_manifest_wherever_it_stands(tmp_path: Path) -> None:
    package = tmp_path / "team_code"
    package.mkdir()
    for name in ("__init__", "assets", "used_late"):
        (package / f"{name}.py").write_text(f"NAME = '{name}'\n")
    (tmp_path / "readme.txt").write_text("not code")
    first = source_digest(tmp_path, ["team_code.assets"])
    (tmp_path / "readme.txt").write_text("changed")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "assets.py").write_text("cached")
    assert source_digest(tmp_path, ["team_code.assets"]) == first
    (package / "used_late.py").write_text("NAME = 'other'\n")
    assert source_digest(tmp_path, ["team_code.assets"]) != first
