# SPDX-License-Identifier: Apache-2.0
import signal

import pytest

import pg as postgres
from commanded import CONFIG, Authority, Orders
from harness import Server

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would every program that they end by it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def server():
    """One running server per test file. Tests in a file share it: each uses names of its own."""
    s = Server().start()
    yield s
    s.stop()
    s.destroy()


@pytest.fixture
def make_server():
    """Servers of one test's own: make_server(config="…", env={…}) returns one that is not started yet."""
    made = []

    def make(**kw):
        made.append(Server(**kw))
        return made[-1]

    yield make
    for s in made:
        s.destroy()


@pytest.fixture(scope="module")
def make_module_server():
    """The same for servers that the tests of one file share."""
    made = []

    def make(**kw):
        made.append(Server(**kw))
        return made[-1]

    yield make
    for s in made:
        s.destroy()


@pytest.fixture(scope="module")
def pg():
    """A PostgreSQL server of this file's own; databases in it are each test's."""
    p = postgres.server_or_skip()
    yield p
    p.destroy()


@pytest.fixture(scope="module")
def authority():
    """A server of this file's own, with operators' keys in its keyset; `orders` speaks for them."""
    server = Server(config=CONFIG).start()
    try:
        yield Authority(server)
        server.stop()
        assert "role_died" not in server.read_log() and "Sanitizer" not in server.read_log(), server.read_log()
    finally:
        server.destroy()


@pytest.fixture(scope="module")
def orders(authority):
    return Orders(authority.server)
