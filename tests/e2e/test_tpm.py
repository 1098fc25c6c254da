# SPDX-License-Identifier: Apache-2.0
"""TE-3: the agent program on machines with a TPM (swtpm). Quotes over the server's challenge from enrolment to renewal, a PCR
that changed is named, a reboot is none of it. Machines and their TPMs belong together: the server hears of a state folder on
another machine's TPM, whoever runs there, and an operator lets a machine whose TPM was replaced in again."""

import hashlib
import json
import shutil
import time

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import swtpm
from proving import Machine, Site
from waiting import until

pytestmark = pytest.mark.skipif(bool(swtpm.missing()), reason=f"script/bootstrap test installs {', '.join(swtpm.TOOLS)}")

AK = "tpm-ak.cbor"


class Computers(Site):
    def __init__(self, folder):
        super().__init__(folder)
        self.tpms = 0
        self.policy("server", evidence=["tpm"], roots=["tpm"], tpm={"ak": ["activated"], "pcrs": {"7": "00" * 32, "8": "00" * 32}})

    def trust_maker_of(self, tpm):
        begin, end = int(time.time()) - 86400, int(time.time()) + 86400 * 30
        ders = [(13, tpm.certificate("swtpm-localca-rootca-cert.pem")), (14, tpm.certificate("issuer.pem"))]
        items = [[t, hashlib.sha256(c.public_bytes(Encoding.DER)).digest(), c.public_bytes(Encoding.DER), begin, end]
                 for t, c in ders]
        bundle = self.next_bundle()
        bundle.write_bytes(cbor2.dumps({1: self.versions, 2: int(time.time()), 3: items}, canonical=True))
        self.put_in_force(bundle)

    def tpm(self, certified=False):
        self.tpms += 1
        t = swtpm.Swtpm(self.folder / f"tpm{self.tpms}", certified=certified)
        self.made.append(Switch(t))
        return t

    def computer(self, tpm=None):
        """A machine with a TPM of its own, running and verified."""
        t = tpm or self.tpm()
        m = self.machine("server", "tpm", "--tcti", t.tcti)
        m.tpm = t
        m.start()
        m.verified()
        m.until_shown(lambda a: a["state"] == "verified")
        return m

    def copy_of(self, m):
        """Its disk, in another machine."""
        other = Machine.__new__(Machine)
        other.__dict__.update(m.__dict__)
        other.tpm = self.tpm()
        other.state = other.tpm.folder / "state"
        other.log_path = other.state.with_name("state.log")
        other.env = dict(m.env, TROTH_AGENT_STATE=str(other.state))
        other.process = None
        shutil.copytree(m.state, other.state)
        self.made.append(other)
        other.use("tpm", "--tcti", other.tpm.tcti)
        return other


class Switch:
    def __init__(self, tpm):
        self.kill = tpm.off


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Computers(tmp_path_factory.mktemp("site"))
    yield site
    site.close()


def ask_again(m):
    """What the machine has of its last proof is gone: it needs another one."""
    (m.state / "attestation.json").unlink(missing_ok=True)
    return m.start()


def reboot(m):
    m.tpm.off()
    m.tpm.on()


def come_of_age(m):
    """As if its last proof were hours ago: renewal is due after 40 to 80 % of the time."""
    path = m.state / "attestation.json"
    a = json.loads(path.read_text())
    for member, seconds in (("verified_at", -14000), ("expires_at", 400)):
        a[member] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    path.write_text(json.dumps(a))


def test_from_enrolment_to_renewal(site):
    tpm = site.tpm(certified=True)
    site.trust_maker_of(tpm)
    m = site.computer(tpm)
    first = m.show()["attestation"]
    assert (first["kind"], first["source"]) == ("tpm", "tpm"), first
    # Its maker's certificate leads to a root in the bundle.
    assert first["tier"] == "hardware", first
    r = site.server.api("POST", f"/api/v1/verdicts/{first['verdict']}/replay")
    assert r.status == 200 and r.json()["same"] is True, r
    assert m.stop() == 0
    # Not before it is time.
    before, beats = m.row(), m.log().count("event=pulse")
    m.start()
    until(lambda: m.log().count("event=pulse") >= beats + 2)
    assert m.stop() == 0 and m.row() == before
    come_of_age(m)
    m.start()
    second = m.verified(since=before["verified_at"])
    assert second["verdict"] != first["verdict"] and second["expires_at"] > before["expires_at"]
    m.until_shown(lambda a: a["verdict"] == second["verdict"])
    assert m.stop() == 0
    # After a reboot the counters rise, the PCRs begin anew, the key is the same.
    area = (m.state / AK).read_bytes()
    reboot(m)
    come_of_age(m)
    m.start()
    assert m.verified(since=second["verified_at"])
    assert m.stop() == 0 and (m.state / AK).read_bytes() == area


def test_a_tpm_that_is_gone_is_said(site):
    m = site.computer()
    assert m.stop() == 0
    m.tpm.off()
    shown = m.do("tee", "show")
    assert "no TPM at" in shown.stdout + shown.stderr, shown
    come_of_age(m)
    m.start()
    m.wait_for("event=tee_not_usable")
    # What was proven stays until it ends.
    assert m.row()["state"] == "verified" and m.stop() == 0


def test_a_changed_machine_says_which_pcr_and_is_believed_no_more(site):
    m = site.computer()
    assert m.row()["kind"] == "tpm" and m.row()["simulated"] is False
    m.tpm.extend(8, hashlib.sha256(b"another kernel").digest())
    site.operators.send("reattest", [m.id])
    row = m.until_row(lambda a: a["state"] == "failed")
    assert row["reason"] == "pcr_mismatch"
    assert m.refused("pcr_mismatch")["state"] == "refused"
    explained = site.operators.must("attestation", "explain", row["verdict"])
    assert "PCR 8" in explained and "pcr_mismatch" in explained, explained
    assert site.alerts("attestation_failed", m.id)
    assert m.stop() == 0
    # Back to what it was: one reboot.
    reboot(m)
    ask_again(m)
    assert m.verified() and m.stop() == 0


@pytest.mark.parametrize("key", ["copied", "deleted"])
def test_a_copied_disk_proves_nothing_and_people_hear_of_it(site, key):
    m = site.computer()
    assert m.stop() == 0
    before = m.row()
    copy = site.copy_of(m)
    if key == "deleted":
        (copy.state / AK).unlink()
    ask_again(copy)
    # The copied key is of no use there, and a new one is of another TPM than the server knows.
    a = copy.refused("tpm_ak_trust")
    assert a["state"] == "refused" and "another TPM" in a["why"]
    # No other key is made in silence while there is one.
    assert ((copy.state / AK).read_bytes() == (m.state / AK).read_bytes()) == (key == "copied")
    event = site.events("tpm_cloned", m.id)[0]
    assert event["severity"] == 1 and event["detail"]["known"] != event["detail"]["endorsement_key"]
    assert site.alerts("tpm_cloned", m.id)
    assert copy.stop() == 0
    # The machine itself was not harmed: its proof stands, and it makes another one.
    assert m.row() == before
    ask_again(m)
    assert m.verified(since=before["verified_at"])
    assert (m.state / AK).exists() and m.stop() == 0


def test_a_replaced_tpm_is_let_in_by_an_operator(site):
    m = site.computer()
    assert m.stop() == 0
    old = m.tpm
    old.off()
    m.tpm = site.tpm()
    m.use("tpm", "--tcti", m.tpm.tcti)
    ask_again(m)
    assert "resets its identity" in m.refused("tpm_ak_trust")["why"]
    assert m.stop() == 0
    told = json.loads(site.operators.must("agent", "reset-identity", m.id, "--reason", "new mainboard", "-o", "json"))
    m.ok("enroll", "--reset-identity", "--server", f"https://localhost:{site.server.agents}", TROTH_TOKEN=told["token"])
    assert m.row() is None
    m.start()
    row = m.verified()
    assert row["kind"] == "tpm" and m.stop() == 0
    # From now on the new one is known, and the old one is another machine's.
    old.on()
    m.use("tpm", "--tcti", old.tcti)
    ask_again(m)
    assert m.refused("tpm_ak_trust") and m.row()["state"] == "verified"
    assert m.stop() == 0
