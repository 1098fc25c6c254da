# SPDX-License-Identifier: Apache-2.0
"""A stolen command key, and the whole of the server's network with it: what the agent does of what a thief orders, and what people
see of it afterwards. The agent and the server are the real ones; between them stands thief.py.
"""

import json
import os

import pytest

import client
import keyset
import obey
from authority import chain
from commanded import Authority, Orders
from harness import AgentProgram, Server
from ordering import DAY_MS, HOUR, MIN, PROBLEM, notes
from thief import Thief, steal_command_key
from waiting import until
from world import name

CONFIG = "heartbeat_seconds: 1\nclock:\n  source: trusted\nattestation:\n  mode: audit\n"


class Place:
    """A server, its agent, and whoever stands between them."""

    def __init__(self, folder):
        self.folder = folder
        self.server = Server(config=CONFIG).start()
        self.authority, self.orders = Authority(self.server), Orders(self.server)
        self.id, self.thief = name("host"), None
        self.agent = AgentProgram(folder / "state")
        assert self.agent.do("init", "--id", self.id).returncode == 0
        r = self.agent.do("enroll", "--server", f"https://localhost:{self.server.agents}", TROTH_TOKEN=self.server.make_token())
        assert r.returncode == 0, r.stderr
        self.agent.start()
        self.before = self.obeyed("status")["command"]

    def obeyed(self, kind, **fields):
        """By the true server; what the API says at the end."""
        c = self.orders.order(kind, self.id, **fields)
        until(lambda: self.orders.get(c["id"])["ended_at"], 15)
        return self.orders.get(c["id"])

    def stolen(self, key=None):
        """The thief takes the key, and the server's place."""
        key = key or steal_command_key(self.server, self.folder)
        keysets = chain(self.server)
        self.server.stop()
        self.thief = Thief(self.server, self.id, key, keysets, client.base64.b64decode(self.before))
        self.thief.wait(1)
        return self.thief

    def back(self):
        assert not self.thief.faults, self.thief.faults
        self.thief.close()
        self.server.start()

    def seen(self, kind):
        return [e for e in self.server.api("GET", f"/api/v1/events?agent={self.id}&kind={kind}&limit=500").json()["events"]]

    def alerts(self, kind):
        rows = self.server.api("GET", "/api/v1/alerts?limit=500").json()["alerts"]
        return [a for a in rows if a["kind"] == kind and a["subject"] == f"agent:{self.id}"]

    def untouched(self):
        """What a host looks like of which nothing but reads was obeyed."""
        s = json.loads(self.agent.do("status", "-o", "json").stdout)
        return (notes(self.agent), (self.agent.state / "quarantine.json").exists(), self.agent.process.pid,
                self.agent.process.poll(), s["identity"]["key_id"], s["authority"]["epoch"], s["identity"]["root"],
                (self.agent.state / "keyset.cose").read_bytes())

    def end(self):
        self.agent.kill()
        if self.thief:
            self.thief.close()
        self.server.destroy()


@pytest.fixture
def place(tmp_path):
    p = Place(tmp_path)
    yield p
    p.end()


def order_for(thief, cmd, **fields):
    """An order's bytes, and what makes a command of exactly them."""
    at, ident = thief.now_ms(), os.urandom(16)
    f = {"trust_domain": "e2e.example", "agent_id": thief.agent_id, "cmd_id": ident, "cmd": cmd, "ordered_ms": at,
         "expires_ms": at + HOUR, **fields}
    return obey.order(f), dict(at=at, cmd_id=ident, life=HOUR, **fields)


def test_nothing_but_reads(place):
    """Everything that a thief can put into a command, and what the agent answers."""
    left = client.make_key("ed25519")
    place.authority.publish(operators=[left])
    place.authority.publish(revoke=[keyset.key_id(keyset.spki(left))])
    place.obeyed("refresh-keyset")
    before = place.untouched()
    assert before[0] == {} and before[1] is False and before[5] == 4
    thief = place.stolen()
    first, second = place.authority.operators  # not the thief's: only what they once signed
    stranger = client.make_key("ed25519")
    asked = {}

    def refuses(code, cmd, approve=lambda order, at: [], **fields):
        order, how = order_for(thief, cmd, **fields)
        r = thief.refuses(cmd, code, approvals=approve(order, how["at"]), **how)
        asked[r["cmd_id"].hex()] = code

    def both(*keys, **kw):
        return lambda order, at: [thief.approval(k, order, at, **kw) for k in keys]

    # Nobody agreed, or not enough did.
    for cmd, fields in (("note", {"text": "x"}), ("set-interval", {"seconds": 86400}), ("restart-agent", {}),
                        ("rotate-agent-key", {}), ("quarantine", {}), ("release", {})):
        refuses("approval_missing", cmd, **fields)
    refuses("approval_missing", "quarantine", both(first))
    refuses("approval_missing", "release", both(second, second))
    refuses("approval_missing", "quarantine", lambda o, at: [thief.approval(first, o, at), thief.approval(first, o, at - MIN)])
    # Approvals of other orders: of this command with another parameter, of the same command at another time.
    others = [order_for(thief, "note", text="what they agreed to")[0], order_for(thief, "quarantine")[0]]
    refuses("approval_invalid", "note", lambda o, at: [thief.approval(first, others[0], at)], text="what they did not")
    refuses("approval_invalid", "quarantine", lambda o, at: [thief.approval(k, others[1], at) for k in (first, second)])
    # Expired ones, one that lives too long, and one from the future.
    refuses("approval_invalid", "note", lambda o, at: [thief.approval(first, o, at - HOUR, life=HOUR - 1)], text="x")
    refuses("approval_invalid", "quarantine", both(first, second, life=HOUR + MIN))
    refuses("approval_invalid", "note", lambda o, at: [thief.approval(first, o, at + 10 * MIN)], text="x")
    # Keys that are nobody's: made up, the command key itself, an operator of an earlier keyset.
    refuses("approval_invalid", "note", both(stranger), text="x")
    refuses("approval_invalid", "note", both(thief.key), text="x")
    refuses("approval_invalid", "note", both(left), text="x")
    refuses("approval_invalid", "quarantine", both(first, stranger))

    # The chain ends with the keyset that still named that operator: an agent does not go back.
    whole, thief.keysets = thief.keysets, thief.keysets[:3]
    assert thief.does("refresh-keyset")["keyset_epoch"] == 4
    refuses("approval_invalid", "note", both(left), text="x")
    # The next keyset, signed by the thief: with other roots, and in the name of the present one.
    f = keyset.parse(keyset.open_object(whole[-1])[0])
    f.update(epoch=5, prev_digest=keyset.digest(whole[-1]), issued_ms=thief.now_ms(), expires_ms=thief.now_ms() + DAY_MS,
             keys=f["keys"] + [{"role": "operator", "key": keyset.spki(stranger)}])
    for roots, signer in (([keyset.spki(stranger)], stranger), (f["roots"], stranger), (f["roots"], thief.key)):
        thief.keysets = whole + [keyset.sign(keyset.payload({**f, "roots": roots}), [signer])]
        r = thief.said(thief.order("refresh-keyset"))
        assert (r["state"], r["code"]) == ("failed", "keyset_refused"), r
        refuses("approval_invalid", "note", both(stranger), text="x")
    thief.keysets = whole

    # A line that begins next year would make the agent deaf to every other; the highest number ends this line at least.
    thief.refuses("status", "not_yet", line=thief.now_ms() + 365 * DAY_MS)
    thief.does("status", seq=2**63 - 1)
    thief.line, thief.seq = thief.now_ms(), 0  # and the thief goes on with another

    # What a server may do alone, a thief of its key may: reads. That is what a stolen command key is worth.
    assert thief.does("status")["quarantined"] is False
    assert thief.does("collect-inventory")["host"] == os.uname().nodename
    thief.does("cancel", target=os.urandom(16))
    reads = {r["cmd_id"].hex() for r in thief.receipts if r["state"] == "done"}
    assert place.untouched() == before

    # Who comes to the host finds all of it, though the thief has taken every receipt.
    log, journal = place.agent.log(), place.agent.do("journal", "show").stdout
    kid = client.key_id(thief.key.public_key())[:16].hex()
    for ident, code in asked.items():
        assert f"event=command_refused code={code} kid={kid} command={ident}" in log
        assert f"{ident}  refused: {code} (key {kid})" in journal
    assert all(ident in journal for ident in reads)
    # The server finds that somebody else has given numbers, and numbers this agent's commands anew.
    place.back()
    end = place.obeyed("status")
    assert (end["state"], end["code"]) == ("refused", "replayed")
    (event,) = until(lambda: place.seen("command_replayed"))
    assert event["severity"] == 2 and place.alerts("command_refused")
    again = place.obeyed("status")
    assert again["state"] == "done" and again["line"] > end["line"] and again["seq"] == 1
    assert place.obeyed("collect-inventory")["seq"] == 2


def test_it_comes_out(place):
    """Receipts that the thief does not take are told to the true server, which never ordered what they are about. Then the key is
    revoked, and not even reads are left to the thief."""
    before = place.untouched()
    thief = place.stolen()
    thief.on_receipt = lambda r: (503, PROBLEM, b"{}")
    given = {}
    for cmd, code, fields in (("note", "approval_missing", {"text": "x", "approvals": []}),
                              ("quarantine", "approval_missing", {"approvals": []}),
                              ("note", "approval_invalid", {"text": "x", "approvals": [b"yes, do it"]}),
                              ("status", "", {})):
        data, ident = thief.command(cmd, **fields)
        given[ident.hex()] = code
        thief.give(data)
    until(lambda: all(f"command={ident}" in place.agent.log() for ident in given))
    assert place.untouched() == before
    place.back()
    until(lambda: {e["detail"]["command"] for e in place.seen("command_foreign")} == set(given), 20)
    for event in place.seen("command_foreign"):
        assert event["severity"] == 1 and event["detail"]["code"] == given[event["detail"]["command"]]
        assert place.server.audit(match=event["detail"]["command"])[0]["action"] == "command.foreign"
    (alert,) = place.alerts("command_foreign")
    assert alert["severity"] == 1 and "never ordered" in alert["action"]
    r = place.server.api("POST", "/api/v1/admin/keys", {"role": "command", "name": "after the theft"})
    assert r.status in (200, 201), r
    keys = place.server.api("GET", "/api/v1/admin/keys").json()["keys"]
    spki = next(client.base64.b64decode(k["spki"]) for k in keys if k["name"] == "after the theft")
    place.authority.publish(commands=[spki], revoke=[keyset.key_id(keyset.spki(thief.key))])
    until(lambda: json.loads(place.agent.do("status", "-o", "json").stdout)["authority"]["epoch"] == 3, 15)
    again = place.stolen(thief.key)
    again.refuses("status", "revoked_key")
    again.refuses("note", "revoked_key", text="x", approvals=[])
    assert place.untouched()[:5] == before[:5]
