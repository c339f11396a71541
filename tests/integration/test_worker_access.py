"""A worker whose broker user may do no more than a team's worker must."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from support.processes import eventually, running
from support.worker_bench import DEPLOYMENT, TEAM, FakeScheduler, fake_location, free_port, log_of, running_worker

from hedgerow.protocol import control, names

pytestmark = [pytest.mark.servers, pytest.mark.processes]


def test_a_worker_needs_no_more_rights_on_the_broker_than_a_team_is_given(tmp_path: Path) -> None:
    from hedgerow_scheduler.embedded.binaries import valkey_server

    prefix = names.team_prefix(DEPLOYMENT, TEAM)
    team_rules = (
        f"user hr-{TEAM} on >secret sanitize-payload resetchannels -@all +ping +client|setinfo "
        f"(~{prefix}q:* +brpop +blmpop +lpush) (~{prefix}claims:* +set) (%W~{prefix}events +xadd) "
        f"(%W~{prefix}logs:* +xadd +expire) (%R~{prefix}ack* %R~{prefix}ctl %R~{prefix}epoch +get +hget +xread)"
    )
    (tmp_path / "users.acl").write_text(f"user default on nopass ~* &* +@all\n{team_rules}\n")
    port = free_port()
    command = [valkey_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path]
    with running([*command, "--aclfile", tmp_path / "users.acl"], log=tmp_path / "valkey.log"):
        admin = redis.Redis(port=port)
        eventually(admin.ping)
        scheduler = FakeScheduler(f"redis://127.0.0.1:{port}/0")
        location = fake_location(tmp_path / "sales")
        url = f"redis://hr-{TEAM}:secret@127.0.0.1:{port}/0"
        with running_worker(location, url, environ={"HEDGEROW_GRACE_S": "2"}) as worker:
            manifest = scheduler.await_manifest()
            printing = scheduler.run(manifest, "print", run_tags={"sleep": "1"})
            eventually(lambda: admin.exists(names.log_stream(DEPLOYMENT, TEAM, printing.attempt_id)))
            assert scheduler.await_event("attempt_succeeded", printing.attempt_id)
            forever = scheduler.run(manifest, "forever")
            scheduler.await_event("attempt_started", forever.attempt_id)
            scheduler.say(control.CancelAttempt(forever.attempt_id))
            assert scheduler.await_end(forever.attempt_id).reason == "cancelled"
            admin.execute_command("CLIENT", "KILL", "USER", f"hr-{TEAM}")
            assert scheduler.await_event("attempt_succeeded", scheduler.run(manifest, "noop").attempt_id)
            worker.terminate()
            eventually(lambda: scheduler.read() or worker.poll() is not None)
        assert admin.acl_log() == []
        assert "NOPERM" not in log_of(location)
        assert "secret" not in log_of(location)
