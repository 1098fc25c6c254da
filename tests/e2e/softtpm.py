# SPDX-License-Identifier: Apache-2.0
"""As much of a TPM 2.0 as attestation needs, written from its specification (parts 1 and 2): an endorsement key, attestation
keys, ActivateCredential, quotes, and counters that a test may set back. Nothing here uses the product's code."""

import datetime
import hashlib
import hmac
import os
import struct

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509.oid import NameOID

SHA256, ECDSA, ECC, RSA, NULL, AES, CFB = 0x000B, 0x0018, 0x0023, 0x0001, 0x0010, 0x0006, 0x0043
EK_POLICY = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
AK_ATTRIBUTES = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 16 | 1 << 18
ENDORSEMENT = 0x4000000B


def sized(data):
    return struct.pack(">H", len(data)) + data


def sha(data):
    return hashlib.sha256(data).digest()


def name_of(public):
    return struct.pack(">H", SHA256) + sha(public)


def kdfa(key, label, context_u, context_v, bits):
    out, counter = b"", 0
    while len(out) * 8 < bits:
        counter += 1
        out += hmac.new(key, struct.pack(">I", counter) + label + b"\0" + context_u + context_v + struct.pack(">I", bits),
                        hashlib.sha256).digest()
    return out[:bits // 8]


def ecdsa(key, message):
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return struct.pack(">HH", ECDSA, SHA256) + sized(r.to_bytes(32, "big")) + sized(s.to_bytes(32, "big"))


class Maker:
    """A maker of TPMs: his root certifies endorsement keys."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.root = self.issue("TPM Maker Root", self.key, self.key.public_key(), True)

    def issue(self, cn, key, public, ca):
        def name(text):
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
        return (x509.CertificateBuilder().subject_name(name(cn)).issuer_name(name("TPM Maker Root")).public_key(public)
                .serial_number(x509.random_serial_number()).not_valid_before(datetime.datetime(2026, 1, 1))
                .not_valid_after(datetime.datetime(2056, 1, 1)).add_extension(x509.BasicConstraints(ca, None), True)
                .add_extension(x509.KeyUsage(False, False, not ca, False, False, ca, ca, False, False), True)
                .sign(key, hashes.SHA256()))

    def certify(self, tpm):
        tpm.ek_cert = self.issue("TPM", self.key, tpm.ek.public_key(), False).public_bytes(serialization.Encoding.DER)


class Tpm:
    def __init__(self):
        self.ek = rsa.generate_private_key(65537, 2048)
        self.resets, self.restarts, self.clock = 3, 1, 1000
        self.pcrs = {k: bytes(32) for k in range(24)}
        self.ek_cert = None
        self.new_ak()

    def new_ak(self, attributes=AK_ATTRIBUTES):
        self.ak = ec.generate_private_key(ec.SECP256R1())
        n = self.ak.public_key().public_numbers()
        self.ak_public = (struct.pack(">HHIH", ECC, SHA256, attributes, 0) + struct.pack(">HHH", NULL, ECDSA, SHA256) +
                          struct.pack(">HH", 3, NULL) + sized(n.x.to_bytes(32, "big")) + sized(n.y.to_bytes(32, "big")))

    @property
    def ek_public(self):
        n = self.ek.public_key().public_numbers().n
        return (struct.pack(">HHI", RSA, SHA256, 0x000300b2) + sized(EK_POLICY) + struct.pack(">HHH", AES, 128, CFB) +
                struct.pack(">HHI", NULL, 2048, 0) + sized(n.to_bytes(256, "big")))

    @property
    def ek_sent(self):
        return self.ek_cert or sized(self.ek_public)

    def credential_request(self):
        return cbor2.dumps({1: sized(self.ak_public), 2: self.ek_sent}, canonical=True)

    def activate(self, blob, encrypted):
        """TPM2_ActivateCredential; an exception when the credential is for other keys."""
        seed = self.ek.decrypt(encrypted[2:], padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"IDENTITY\0"))
        inner = blob[2:]
        mac, identity = inner[2:34], inner[34:]
        name = name_of(self.ak_public)
        key = kdfa(seed, b"INTEGRITY", b"", b"", 256)
        assert hmac.compare_digest(hmac.new(key, identity + name, hashlib.sha256).digest(), mac), "for another key"
        aes = Cipher(algorithms.AES(kdfa(seed, b"STORAGE", name, b"", 128)), modes.CFB(bytes(16))).decryptor()
        plain = aes.update(identity) + aes.finalize()
        n, = struct.unpack(">H", plain[:2])
        return plain[2:2 + n]

    def evidence(self, nonce, pcrs=(0, 7), ek=True):
        """An evidence set (evidence/set.h) and the quote in it."""
        self.clock += 1
        bitmap = sum(1 << p for p in pcrs).to_bytes(3, "little")
        signer = struct.pack(">H", SHA256) + sha(struct.pack(">I", ENDORSEMENT) + name_of(self.ak_public))
        quote = (bytes.fromhex("ff544347") + struct.pack(">H", 0x8018) + sized(signer) + sized(nonce) +
                 struct.pack(">QIIB", self.clock, self.resets, self.restarts, 1) + os.urandom(8) +
                 struct.pack(">IHB", 1, SHA256, 3) + bitmap + sized(sha(b"".join(self.pcrs[p] for p in sorted(pcrs)))))
        values = cbor2.dumps({SHA256: {p: self.pcrs[p] for p in sorted(pcrs)}}, canonical=True)
        s = {1: 4, 2: quote, 4: ecdsa(self.ak, quote), 5: sized(self.ak_public), 8: values}
        if ek:
            s[7] = self.ek_sent
        return cbor2.dumps(s, canonical=True), quote


def nonce(challenge, spki):
    """Scheme `troth` for TPMs."""
    return sha(b"troth/report-data/v1\0" + struct.pack(">H", len(challenge)) + challenge + struct.pack(">H", len(spki)) + spki)
