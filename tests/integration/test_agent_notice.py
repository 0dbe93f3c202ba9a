"""What the real agent makes of the notice: where the parents are (docs/internals/wire.md)."""
import parentlib
import pytest
from agentlib import new_agent, pin_of
from parentlib import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.fault]


def observed(agent):
    return (agent.status()["status"]["observed"] or {}).get("pub")


def test_a_parent_that_was_only_starting_is_asked_again_where_parents_are(workdir, programs):
    """It came back with a second address while its database was still away: the first answer is 503, which the child must
    not take for the hourly one."""
    with parentlib.alone(workdir, "starting", programs) as p:
        a = new_agent(workdir, "starting", programs)
        assert a.join(p.base, pin_of(p.ca), *p.reset_admin()).returncode == 0
        a.start()
        wait_until(lambda: observed(a), "the first bundle", 30)
        p.kill()
        p.postgres.stop()
        second = "https://second.example.test:8445"
        p.extra["api.addresses"] = f"{p.base}, {second}"
        p.start(wait=False)
        wait_until(lambda: '"status":503' in a.log() or "status=503" in a.log(), "a parent that is only starting", 60)
        p.postgres.start()
        p.wait_ready()
        wait_until(lambda: second in a.identity()["addresses"], "the second address", 60)
        a.stop()
