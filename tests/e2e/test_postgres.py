# SPDX-License-Identifier: Apache-2.0
"""trothd on PostgreSQL: the same server as on a file, in a database of its own, and what is refused."""

import re
import subprocess

import pytest

import pg as postgres
from harness import program
from pg import CONFIG, Beating
from waiting import until
from world import World, name


@pytest.fixture
def world(pg, make_server):
    db = pg.database()
    w = World(make_server(config=CONFIG, init=("--store", pg.location(db))).start())
    w.db = db
    yield w
    w.server.stop()
    assert "role_died" not in w.server.read_log(), w.server.read_log()


def init(tmp_path, store, *more):
    return subprocess.run([program("trothd"), "init", "--dir", str(tmp_path / "state"), "--trust-domain", "e2e.example",
                           "--store", store, *more], capture_output=True, text=True)


# ---- the same server ----

def test_an_installation_in_a_database(pg, make_server):
    """Over TCP with a password that needs escaping; enrolled, beating, told of silence, and the same after restarts."""
    secret = pg.password_file()
    db = pg.database()
    server = make_server(config=CONFIG, init=("--store", pg.location(db, tcp=True), "--store-password-file", str(secret)))
    assert postgres.PASSWORD not in server.config.read_text()
    w = World(server.start())
    a = w.enrol()
    quiet = w.good()
    assert quiet.register(server.make_token(partition=name("p"))).status == 201
    with quiet.mtls() as c:
        assert quiet.pulse(c).status == 200
    beating = Beating(a)
    until(lambda: w.agent(quiet.node_id)["verdict"] == "lost", 40)
    alert = until(lambda: [x for x in server.api("GET", "/api/v1/alerts").json()["alerts"] if x["severity"] == 2])
    assert alert[0]["subject"] == f"agent:{quiet.node_id}"
    assert w.agent(a.node_id)["verdict"] == "ok"
    beating.end()
    before = (w.ids(), len(w.server.audit(limit=500)))
    for how in ("kill", "stop"):
        getattr(server, how)()
        server.start()
        assert w.agent(quiet.node_id)["verdict"] == "lost"
        assert (w.ids(), len(server.audit(limit=500))) == before
        with a.mtls() as c:
            a.pulse(c)
            assert a.pulse(c).status == 200
        assert w.agent(a.node_id)["verdict"] == "ok"
    server.stop()
    assert not list(server.dir.glob("troth.db*")), "nothing in files"
    assert postgres.PASSWORD not in server.read_log()


def test_the_database_names_its_owner_and_orders_by_bytes(world, pg):
    columns = pg.psql("SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON "
                      "n.oid = c.relnamespace JOIN pg_collation o ON o.oid = a.attcollation WHERE n.nspname = 'public' "
                      "AND c.relkind = 'r' AND o.collname <> 'C'", world.db)
    assert columns == "0", "a text column in the database's own order"
    assert pg.psql("SELECT mark FROM troth_store", world.db) == "troth"


# ---- what is refused, with what to do ----

def test_bad_databases_are_refused_with_what_to_do(pg, tmp_path):
    foreign = pg.database()
    pg.psql("CREATE TABLE customers (id int)", foreign)
    latin = pg.database("ENCODING 'LATIN1' LOCALE 'C'")
    empty = pg.database()
    cases = [
        (pg.location(foreign), (), "belongs to another program"),
        (pg.location("nowhere"), (), "CREATE DATABASE"),
        (pg.location(latin), (), "encoding UTF8"),
        (pg.location(empty, tcp=True), (), "password"),
        (pg.location(empty, tcp=True), ("--store-password-file", str(pg.password_file("wrong"))), "store_password_file"),
        (f"postgresql://troth:secret@127.0.0.1:{pg.port}/{empty}", (), "store_password_file"),
        (f"postgresql://troth@127.0.0.1:{pg.port}/{empty}?password=secret", (), "store_password_file"),
        (f"postgresql://troth@127.0.0.1:1/{empty}", (), "cannot be reached"),
        ("postgresql://troth@db.example/troth", (), "sslmode"),
        *((f"postgresql://troth@db.example/troth?sslmode={m}", (), "needs TLS") for m in ("disable", "allow", "prefer")),
        (f"postgresql://troth@localhost,db.example:{pg.port}/troth?sslmode=prefer", (), "needs TLS"),
        ("postgresql://troth@/x?nonsense=1", (), "not understood"),
        ("mysql://db/troth", (), "postgresql://"),
        ('postgresql://troth@/x?application_name="a', (), "%22"),
        ("sqlite:/tmp/x", (), "without it"),
    ]
    for store, more, words in cases:
        r = init(tmp_path, store, *more)
        assert r.returncode == 1 and words in r.stderr, (store, r.stderr)
        assert "secret" not in r.stderr and "wrong" not in r.stderr
        assert not (tmp_path / "state" / "trothd.yaml").exists()
    assert pg.psql("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'",
                   foreign) == "1", "left as it was"


def test_the_password_file_is_asked_for_before_the_start(pg, make_server):
    secret = pg.password_file()
    server = make_server(init=("--store", pg.location(pg.database(), tcp=True), "--store-password-file", str(secret)))

    def check():
        return subprocess.run([program("trothd"), "check-config", "--config", str(server.config)], capture_output=True, text=True)

    assert check().returncode == 0, check().stderr
    secret.chmod(0o644)
    assert check().returncode == 1 and "store_password_file" in check().stderr
    secret.write_text("")
    secret.chmod(0o600)
    assert "is empty" in check().stderr
    secret.unlink()
    assert check().returncode == 1 and "store_password_file" in check().stderr


def test_an_installation_is_never_overwritten(world, pg, tmp_path):
    r = init(tmp_path, pg.location(world.db))
    assert r.returncode == 1 and "never overwritten" in r.stderr


def test_sandbox_of_the_roles_of_a_database(world, pg):
    r = subprocess.run([program("trothd"), "check-sandbox", "--config", str(world.server.config)], capture_output=True,
                       text=True)
    assert r.returncode == 0, r.stderr
    assert re.search(r"^store +a forbidden system call kills it$", r.stdout, re.M)
