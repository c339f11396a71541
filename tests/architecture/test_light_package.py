"""What a team installs imports nothing but the standard library, msgspec and cronsim."""

from __future__ import annotations

import subprocess
import sys

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys

ALLOWED = {"hedgerow", "msgspec", "cronsim"}

class OnlyTheLightOnes:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        # sysconfig keeps its data in a module named after the machine, which no list of names holds.
        if top not in ALLOWED and top not in sys.stdlib_module_names and not top.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"blocked by the test: {name}", name=name)
        return None

sys.meta_path.insert(0, OnlyTheLightOnes())
import hedgerow

def stop(name):
    raise sys.exc_info()[1]

names = [module.name for module in pkgutil.walk_packages(hedgerow.__path__, "hedgerow.", onerror=stop)]
for name in names:
    if not name.endswith(".__main__"):
        importlib.import_module(name)
print(len(names))
"""


def test_every_module_of_hedgerow_imports_with_only_msgspec_and_cronsim_installed() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_EVERYTHING], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
