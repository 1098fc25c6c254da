# SPDX-License-Identifier: Apache-2.0
import signal

import pytest

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
