# SPDX-License-Identifier: Apache-2.0
"""A thief: has a copy of an installation's store and seal key, so its command key; has the server's TLS key and every keyset that
was ever public; and stands where the server stood. What no server has, the thief has not: roots, operators' keys, devices' keys.
"""

import ctypes
import ctypes.util
import shutil
import socket
import sqlite3
import threading

from cryptography import x509
from cryptography.hazmat.primitives import serialization as ser
from OpenSSL import SSL, crypto

import keyset
import obey
from ordering import Ordering

SEALED, NONCE, TAG = 1, 24, 16


def unseal(key, bound, sealed):
    """XChaCha20-Poly1305, by libsodium: what src/crypto/wrap.h describes."""
    sodium = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
    assert sealed[0] == SEALED
    out, n = ctypes.create_string_buffer(len(sealed)), ctypes.c_ulonglong()
    nonce, box = sealed[1:1 + NONCE], sealed[1 + NONCE:]
    rc = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(out, ctypes.byref(n), None, box, ctypes.c_ulonglong(len(box)), bound,
                                                           ctypes.c_ulonglong(len(bound)), nonce, key)
    assert rc == 0, "this is not sealed under that key"
    return out.raw[:n.value]


def steal_command_key(server, folder):
    """From copies of the store and of seal.key: the private key that signs commands."""
    for name in server.dir.glob("troth.db*"):
        shutil.copy(name, folder)
    db = sqlite3.connect(folder / "troth.db")
    spki, sealed = db.execute("SELECT spki, sealed FROM skeys WHERE role = 'command' AND state = 'primary'").fetchone()
    db.close()
    bound = b"troth/seal/v1\0" + bytes([len("command")]) + b"command" + spki
    key = ser.load_pem_private_key(unseal((server.dir / "keys" / "seal.key").read_bytes(), bound, sealed), None)
    assert keyset.spki(key) == spki
    return key


class Thief(Ordering):
    """Listens where the server did. before: a genuine command, whose line and number the thief goes on with."""

    def __init__(self, server, agent_id, key, keysets, before):
        super().__init__()
        self.listener.close()
        self.agent_id, self.key, self.keysets, self.operators = agent_id, key, list(keysets), []
        f, _ = obey.read_command(obey.pulse.open1(before, 24576)[3])
        self.line, self.seq, self.generation = f["line"], f["seq"], f["epoch"]
        tls = server.dir / "tls"
        self.ctx = SSL.Context(SSL.TLS_SERVER_METHOD)
        self.ctx.set_min_proto_version(SSL.TLS1_3_VERSION)
        self.ctx.use_certificate_chain_file(str(tls / "server.crt"))
        self.ctx.use_privatekey_file(str(tls / "server.key"))
        ca = x509.load_pem_x509_certificate(server.ca.read_bytes())
        self.ctx.get_cert_store().add_cert(crypto.X509.from_cryptography(ca))
        self.ctx.set_verify(SSL.VERIFY_PEER, lambda *a: True)
        self.ctx.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        self.interval = 1
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", server.agents))
        threading.Thread(target=self.accept, daemon=True).start()

    def serve(self, sock):
        self.sockets.append(sock)
        super().serve(sock)

    def close(self):
        """Gone: nothing listens, and no connection lives on."""
        for s in [self.listener, *self.sockets]:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()

    def command(self, cmd, **kw):
        kw.setdefault("epoch", self.generation)
        return super().command(cmd, agent=self.agent_id, **kw)
