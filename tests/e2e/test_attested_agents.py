# SPDX-License-Identifier: Apache-2.0
"""TE-3 and TE-4 with the real agent: a machine proves what it is, keeps proving it, and is refused when it is something else."""

import datetime
import json
import os
import signal
import time

import pytest

from proving import OTHER, Simulated
from waiting import until

UTC = datetime.timezone.utc


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Simulated(tmp_path_factory.mktemp("site"))
    yield site
    site.close()


@pytest.fixture(scope="module")
def tdx(site):
    """One that runs and is verified; tests share it and leave it so."""
    m = site.tee("tdx").start()
    m.verified()
    return m


# ---- good ones ----

@pytest.mark.parametrize("kind", ["tdx", "snp", "sgx"])
def test_a_machine_proves_itself_from_enrolment_on(site, kind):
    m = site.tee(kind)
    assert m.row() is None and m.show() == {"source": "simulated", "problem": "", "attestation": None}
    m.start()
    row = m.verified()
    assert (row["kind"], row["policy"], row["image"], row["reason"]) == (kind, f"vm-{kind}", "gold", "")
    # Whoever trusts a simulated root reads so, everywhere.
    assert row["simulated"] is True and row["tier"] == "none"
    a = m.until_shown(lambda a: a["state"] == "verified")
    assert {k: a[k] for k in ("kind", "policy", "tier", "tcb_status", "simulated", "verdict", "expires_at")} == \
        {k: row[k] for k in ("kind", "policy", "tier", "tcb_status", "simulated", "verdict", "expires_at")}
    assert (a["source"], a["code"], a["failures"]) == ("simulated", "", 0)
    assert a["key_id"] == json.loads((m.state / "agent.json").read_text())["key_id"]
    # A verdict that anybody can make again, about this very machine.
    v = site.verdict(row["verdict"])
    assert (v["agent"], v["outcome"], v["kind"]) == (m.id, "verified", kind)
    site.operators.must("attestation", "replay", row["verdict"])
    assert site.events("agent_registration_success", m.id)
    text = m.ok("status")
    assert "verified" in text and "simulated" in text and row["expires_at"][:16] in text
    assert m.status()["attestation"]["verdict"] == row["verdict"]
    assert m.stop() == 0


# ---- again and again ----

def test_it_is_renewed_before_its_end(tmp_path):
    """However slow the pulses are."""
    site = Simulated(tmp_path / "slow", only="tdx", beat_s=600)
    try:
        renew(site)
    finally:
        site.close()


def renew(site):
    site.policy("short", evidence=["tdx"], roots=[site.root("tdx")], measurements="any", lifetime_minutes=1)
    m = site.tee("tdx", agent_type="short").start()
    first = m.verified()
    m.until_shown(lambda a: a["state"] == "verified")
    assert m.stop() == 0
    path = m.state / "attestation.json"
    a = json.loads(path.read_text())
    stamp = lambda s: (datetime.datetime.now(UTC) + datetime.timedelta(seconds=s)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"  # noqa: E731
    # As it stands when nearly a third of its life is over: due when two to four fifths are, so in one to six seconds.
    path.write_text(json.dumps({**a, "verified_at": stamp(-3), "expires_at": stamp(8)}))
    at_once, end = stamp(1), stamp(8)
    m.start()
    assert at_once < m.verified(since=first["verified_at"])["verified_at"] < end
    until(lambda: m.log().count("event=attested") == 2)
    # And nobody proves himself all the time.
    time.sleep(2)
    assert m.log().count("event=attested") == 2
    assert m.stop() == 0


def test_an_operator_asks_for_a_fresh_proof(site, tdx):
    before = tdx.row()
    ident, = site.operators.send("reattest", [tdx.id])
    row = tdx.verified(since=before["verified_at"])
    assert row["verdict"] != before["verdict"]
    until(lambda: site.operators.command(ident)["state"] == "done")


def test_a_new_key_is_attested_anew(site, tdx):
    before, key = tdx.row(), tdx.show()["attestation"]["key_id"]
    tdx.ok("rotate-key")
    row = tdx.verified(since=before["verified_at"])
    a = tdx.until_shown(lambda a: a["verdict"] == row["verdict"])
    now = json.loads((tdx.state / "agent.json").read_text())["key_id"]
    assert a["key_id"] == now != key
    assert site.verdict(row["verdict"])["context"]["spki"]


def test_a_servers_restart_keeps_it(site, tdx):
    before = tdx.row()
    assert before["state"] == "verified"
    site.server.stop()
    site.server.start()
    assert tdx.row() == before
    beats = tdx.beats()
    until(lambda: tdx.beats() > beats, 20)
    # Neither did the agent find a reason to prove itself again.
    assert tdx.row() == before


# ---- bad ones ----

def refused_machine(site, kind, code, *more, **kw):
    m = site.tee(kind, *more, **kw).start()
    a = m.refused(code)
    assert a["state"] == "refused" and a["why"] and a["failures"] >= 1
    return m, a


@pytest.mark.parametrize("kind", ["tdx", "sgx"])
def test_one_that_its_host_may_read_is_refused(site, kind):
    m, a = refused_machine(site, kind, "tee_debug", "--debug-tee")
    assert m.row() is None
    event = site.events("attestation_verification_failed", m.id)[0]
    assert event["detail"]["code"] == "tee_debug"
    v = site.verdict(event["detail"]["verdict"])
    assert v["outcome"] == "failed" and v["reason"] == "tee_debug"
    # It stays in the fleet, and says why it is not verified.
    assert m.status()["heartbeat"]["state"] == "ok" and "tee_debug" in m.ok("tee", "show")
    assert m.status()["attestation"]["code"] == "tee_debug" and "tee_debug" in m.ok("status")
    assert m.stop() == 0


@pytest.mark.parametrize("kind", ["tdx", "sgx"])
def test_another_image_is_refused(site, kind):
    m, a = refused_machine(site, kind, "measurement_mismatch", "--program", OTHER if kind != "sgx" else OTHER[:64])
    assert m.row() is None
    assert m.stop() == 0
    # Its host put the right one back: believed at the next start.
    m.use("simulated", "--seed", site.seeds[kind], "--kind", kind)
    m.start()
    assert m.verified()["image"] == "gold"
    assert m.stop() == 0


def test_a_machine_that_becomes_another_one_is_no_longer_believed(site):
    m = site.tee("tdx").start()
    first = m.verified()
    m.until_shown(lambda a: a["state"] == "verified")
    assert m.stop() == 0
    m.use("simulated", "--seed", site.seeds["tdx"], "--kind", "tdx", "--program", OTHER)
    m.start()
    site.operators.send("reattest", [m.id])
    row = m.until_row(lambda a: a["state"] == "failed")
    assert row["reason"] == "measurement_mismatch" and row["verdict"] != first["verdict"]
    assert site.alerts("attestation_failed", m.id)
    # The machine knows that nobody believes it any more, and asks again.
    a = m.refused("measurement_mismatch")
    assert a["state"] == "refused" and "attestation   refused" in m.ok("status")
    assert m.stop() == 0


def test_a_renewal_that_fails_for_no_proven_reason_leaves_what_was_good(site):
    seed, _ = site.simulate("stranger", "tdx")
    m = site.tee("tdx").start()
    first = m.verified()
    m.until_shown(lambda a: a["state"] == "verified")
    assert m.stop() == 0
    m.use("simulated", "--seed", seed, "--kind", "tdx")
    m.start()
    site.operators.send("reattest", [m.id])
    row = m.until_row(lambda a: a["reason"] == "chain_root")
    assert (row["state"], row["verdict"], row["failures"]) == ("verified", first["verdict"], 1)
    a = m.refused("chain_root")
    assert (a["state"], a["verdict"], a["failures"]) == ("verified", first["verdict"], 1)
    assert "attestation   verified" in m.ok("status") and "chain_root" in m.ok("status")
    assert m.stop() == 0


def test_a_root_that_no_policy_trusts_is_refused(site):
    seed, _ = site.simulate("nobody", "tdx")
    m, a = refused_machine(site, "tdx", "chain_root", seed=seed)
    assert m.row() is None
    assert m.stop() == 0


def test_evidence_of_a_kind_that_the_policy_does_not_take(site):
    m = site.tee("sgx", agent_type="vm-tdx").start()
    a = m.until_shown(lambda a: a["state"] == "refused")
    assert a["code"] == "evidence_kind_not_accepted" and m.row() is None
    assert m.stop() == 0


def test_where_no_policy_asks_nobody_is_alarmed(site):
    m = site.tee("tdx", agent_type="unasked").start()
    assert m.refused("no_policy")["state"] == "refused"
    beats = m.beats()
    until(lambda: m.beats() >= beats + 3)
    assert m.log().count("event=not_attested") == 1  # and not again and again
    assert not site.events("agent_registration_failure", m.id)
    # Once somebody asks, a command spares the wait.
    site.policy("unasked", evidence=["tdx"], roots=[site.root("tdx")], measurements="any")
    site.operators.send("reattest", [m.id])
    assert m.verified()["policy"] == "unasked"
    assert m.stop() == 0


# ---- none at all ----

@pytest.mark.skipif(os.path.exists("/sys/kernel/config/tsm/report"), reason="this machine is a TEE")
def test_what_was_named_and_is_not_there_is_said(site):
    m = site.machine("vm-tdx", TEE_PLATFORM="tdx").start()
    m.wait_for("event=tee_not_usable")
    until(lambda: m.beats() >= 2)
    s = m.status()
    assert s["heartbeat"]["state"] == "ok" and m.row() is None
    shown = m.show()
    assert shown["source"] == "" and "TEE_PLATFORM" in shown["problem"]
    a = m.until_shown(lambda a: a["state"] == "unavailable")
    assert "TEE_PLATFORM" in a["why"], a
    assert "TEE_PLATFORM" in m.ok("status")
    # Nothing else was taken in its place, and nobody was bothered with it.
    assert "event=attested" not in m.log() and not site.events("agent_registration_failure", m.id)
    assert m.stop() == 0


def test_none_means_none(site):
    m = site.tee("tdx", TEE_PLATFORM="none").start()
    until(lambda: m.beats() >= 2)
    assert m.row() is None and m.show() == {"source": "", "problem": "", "attestation": None}
    assert "not_attested" not in m.log() and "tee_not_usable" not in m.log()
    assert m.stop() == 0


def test_a_source_that_is_named_later_needs_no_restart(site):
    m = site.tee("tdx")
    later = (m.state / "tee.json").read_bytes()
    m.use("none")
    m.start()
    until(lambda: m.beats() >= 1)
    assert m.row() is None
    (m.state / "tee.json").write_bytes(later)
    m.process.send_signal(signal.SIGHUP)
    assert m.verified()["kind"] == "tdx"
    assert m.stop() == 0


def test_a_word_that_nobody_knows_is_refused(site):
    m = site.machine("vm-tdx")
    r = m.do("tee", "use", "abacus")
    assert r.returncode != 0 and "TEE_PLATFORM is one of" in r.stderr
    assert not (m.state / "tee.json").exists()


@pytest.mark.parametrize("args, words", [
    (["--seed", "/etc/hostname"], "chmod 0600"), (["--kind", "tpm"], "tdx, sgx or snp"), (["--program", "00"], "48 bytes"),
])
def test_what_can_never_work_replaces_nothing(site, args, words):
    m = site.tee("tdx")
    before = (m.state / "tee.json").read_bytes()
    seed = json.loads(before)["seed"]
    r = m.do("tee", "use", "simulated", "--seed", seed, *args)
    assert r.returncode != 0 and words in r.stderr
    assert (m.state / "tee.json").read_bytes() == before


def test_a_seed_is_kept_with_its_whole_path(site):
    m = site.tee("tdx")
    seed = json.loads((m.state / "tee.json").read_text())["seed"]
    m.use("simulated", "--seed", os.path.relpath(seed))
    assert json.loads((m.state / "tee.json").read_text())["seed"] == os.path.realpath(seed)


def test_a_machine_without_a_tee_is_no_fault(site):
    m = site.machine("vm-tdx").start()
    if m.show()["source"]:
        pytest.skip("this machine has a TEE or TPM")
    until(lambda: m.beats() >= 2)
    assert m.row() is None and m.show() == {"source": "", "problem": "", "attestation": None}
    assert "not_attested" not in m.log()
    assert m.stop() == 0
