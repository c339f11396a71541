"""What very many assets declare alike is one object, and the manifest is the same as before."""

from __future__ import annotations

from hedgerow.conditions.constructors import eager, on_cron
from hedgerow.manifest.model import Asset, Manifest, decode, encode
from hedgerow_scheduler.planning.sharing import share_conditions


def test_equal_conditions_of_a_manifest_become_one_object() -> None:
    conditions = [eager(), on_cron("0 6 * * *"), eager(), None, on_cron("0 6 * * *"), on_cron("0 7 * * *")]
    assets = tuple(Asset(f"a{place}", f"a{place}", automation=each) for place, each in enumerate(conditions))
    body = encode(Manifest("sales", "sales", assets))
    shared = share_conditions(decode(body))
    assert encode(shared) == body
    found = [asset.automation for asset in shared.assets]
    assert found == conditions
    assert len({id(each) for each in found if each is not None}) == 3
