# SPDX-License-Identifier: Apache-2.0
"""Operators with keys of their own, agents that run, and what the proofs of obedience ask afterwards. Everything goes the way
of people: the CLI orders and approves, real agents obey, real processes are killed."""

import hashlib
import json
import os
import pathlib
import subprocess
import time

from harness import AgentProgram, program
from world import name


class Operators:
    """The CLI, logged in, with two operator keys that the keyset names."""

    def __init__(self, server, folder, operators=2):
        self.server, self.folder = server, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("TROTH_", "XDG_"))}
        self.env.update(TROTH_PROFILE=str(self.folder / "profile.json"), HOME=str(self.folder))
        self.root = server.dir / "root" / "root.key"
        self.must("login", f"https://localhost:{server.operators}", "--token-file", server.dir / "admin.token",
                  "--root", server.pin)
        self.keys = []
        sha = hashlib.sha256(pathlib.Path(program("troth-agent")).read_bytes()).hexdigest()
        assert server.api("PUT", "/api/v1/policy", {"hashes": f"sha256:{sha}"}).status == 200
        if operators:
            for i in range(operators):
                key = self.folder / f"operator{i}.key"
                self.must("operator", "keygen", str(key), "--name", f"op{i}")
                self.keys.append(str(key))
            self.publish(*sum((["--add-operator", f"{k}.pub"] for k in self.keys), []))

    def run(self, *args, timeout=120):
        return subprocess.run([program("troth"), *map(str, args)], env=self.env, capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL)

    def must(self, *args, **kw):
        r = self.run(*args, **kw)
        assert r.returncode == 0, f"troth {' '.join(map(str, args))}: {r.returncode}\n{r.stdout}{r.stderr}"
        return r.stdout

    def json(self, *args):
        return json.loads(self.must(*args, "-o", "json"))

    def publish(self, *changes):
        """A keyset with these changes, signed by the root and in force."""
        draft = self.folder / f"draft-{time.monotonic_ns()}"
        signed = draft.with_suffix(".cose")
        self.must("keyset", "prepare", "-o", str(draft), *changes)
        self.must("keyset", "sign", str(draft), "--root", str(self.root), "-o", str(signed), "--yes")
        self.must("keyset", "publish", str(signed))

    def send(self, kind, agents, *args, keys=None):
        """The ids of what was ordered; None: the server did not take it (it may have: nobody knows)."""
        who = sum((["--agent", a] for a in agents), [])
        approve = sum((["--key", k] for k in (self.keys[:1] if keys is None else keys)), [])
        r = self.run("command", "send", kind, "-o", "json", *who, *args, *approve, *(["--yes"] if approve else []))
        if r.returncode:
            return None
        return [c["id"] for c in json.loads(r.stdout)["commands"]]

    def command(self, ident):
        r = self.server.api("GET", f"/api/v1/commands/{ident}")
        assert r.status == 200, r
        return r.json()


class Host(AgentProgram):
    """One machine with a running agent."""

    def __init__(self, server, folder, token, agent_id=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        super().__init__(self.folder / "state")
        self.id = agent_id or name("host")
        r = self.do("init", "--id", self.id)
        assert r.returncode == 0, r.stderr
        r = self.do("enroll", "--server", f"https://localhost:{server.agents}", TROTH_TOKEN=token)
        assert r.returncode == 0, r.stderr

    def notes(self):
        """Command id → how many lines it left."""
        path = self.state / "notes.log"
        found = {}
        for line in path.read_text().splitlines() if path.exists() else []:
            ident = line.split()[1]
            found[ident] = found.get(ident, 0) + 1
        return found


def server_commands(server, **query):
    """Every command the server knows, over or not."""
    found = {}
    for state in ("live", "over"):
        page = {}
        while page is not None:
            q = "&".join(f"{k}={v}" for k, v in {**query, "state": state, "limit": 500, **page}.items())
            r = server.api("GET", f"/api/v1/commands?{q}")
            assert r.status == 200, r
            answer = r.json()
            found.update((c["id"], c) for c in answer["commands"])
            page = None
            if answer["next_cursor"]:
                page = {"cursor": answer["next_cursor"]}
                if state == "over":
                    page["before"] = answer["last_seq"]
    return found
