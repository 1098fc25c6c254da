#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An independent implementation of docs/protocol: claims made with python3-cryptography and python3-cbor2 pass the
product's verifier, and what the product's signer makes passes this one. usage: independent_claim.py LIBTROTH"""
import base64
import ctypes as c
import hashlib
import json
import sys
import time

try:
    import cbor2
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization as ser
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
except ImportError as e:
    print(f"skipped: {e} (python3-cryptography and python3-cbor2 are needed)")
    sys.exit(77)

CHALLENGE, EXPORTER = bytes(range(32)), bytes(range(32, 64))
HASH = hashlib.sha256(b"a binary").digest()
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


def spki(key):
    return key.public_key().public_bytes(ser.Encoding.DER, ser.PublicFormat.SubjectPublicKeyInfo)


def key_id(key):
    return hashlib.sha256(spki(key)).digest()


def sign(key, alg, data):
    if alg == -8:
        return key.sign(data)
    if alg == -7:
        r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return key.sign(data, PSS if alg == -37 else padding.PKCS1v15(), hashes.SHA256())


def verify(public, alg, sig, data):
    if alg == -8:
        public.verify(sig, data)
    elif alg == -7:
        der = utils.encode_dss_signature(int.from_bytes(sig[:32], "big"), int.from_bytes(sig[32:], "big"))
        public.verify(der, data, ec.ECDSA(hashes.SHA256()))
    else:
        public.verify(sig, data, PSS if alg == -37 else padding.PKCS1v15(), hashes.SHA256())


def sign1(key, alg, domain, payload):
    protected = cbor2.dumps({1: alg, 4: key_id(key)[:16]}, canonical=True)
    body = cbor2.dumps(payload, canonical=True)
    tbs = cbor2.dumps(["Signature1", protected, domain, body])
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, body, sign(key, alg, tbs)]))


def release(key, alg, now_ms):
    return sign1(key, alg, b"troth/release/v1", {
        1: "troth-agent", 2: "1.2.3", 3: "linux-amd64", 4: 8, 5: HASH, 6: 1, 7: now_ms - 1000, 8: now_ms + 60000})


def claim(key, alg, now_ms, statement=None):
    return sign1(key, alg, b"troth/claim/v1", {
        6: now_ms // 1000, 8: {3: key_id(key)}, 10: CHALLENGE, 265: "tag:troth,2026:claim/1", 270: "troth-agent",
        271: ["1.2.3"], -65537: now_ms % 1000, -65538: "web-1", -65539: HASH, -65540: EXPORTER,
        **({-65541: statement} if statement else {})})


def native_body(key, claim_object):
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(
        key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    return json.dumps({"csr": base64.b64encode(csr.public_bytes(ser.Encoding.DER)).decode(),
                       "claim": base64.b64encode(claim_object).decode()}).encode()


def original_body(key, now_s):
    text = f"agent-123:sha256:{HASH.hex()}:v1.2.3:{now_s}".encode()
    sig = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    return json.dumps({"node_id": "agent-123", "attestation": {
        "node_id": "agent-123", "binary_hash": f"sha256:{HASH.hex()}", "version": "v1.2.3",
        "signature": base64.b64encode(sig).decode(), "timestamp": now_s}}).encode()


# --- the library, by its header ---

class Error(c.Structure):
    _fields_ = [("code", c.c_int), ("message", c.c_char * 256)]


class Policy(c.Structure):
    _fields_ = [("size", c.c_size_t), ("mode", c.c_int), ("accept_native", c.c_bool), ("accept_original", c.c_bool),
                ("pin_only", c.c_bool), ("min_version", c.c_char_p), ("versions", c.c_char_p), ("min_tier", c.c_int),
                ("skew_ms", c.c_int64)]


class Claim(c.Structure):
    _fields_ = [("size", c.c_size_t), ("form", c.c_int), ("node_id", c.c_char_p), ("binary_hash", c.c_char_p),
                ("version", c.c_char_p), ("time_ms", c.c_int64), ("challenge", c.c_char_p), ("exporter", c.c_char_p),
                ("release", c.c_char_p), ("release_len", c.c_size_t)]


class Verdict(c.Structure):
    _fields_ = [("size", c.c_size_t), ("admitted", c.c_bool), ("reason", c.c_char_p), ("sentence", c.c_char_p),
                ("http_status", c.c_int), ("tier", c.c_char_p), ("form", c.c_int), ("node_id", c.c_char * 65),
                ("version", c.c_char * 65), ("binary_hash", c.c_char * 72), ("time_ms", c.c_int64),
                ("skew_ms", c.c_int64), ("challenge", c.c_uint8 * 32), ("claim_digest", c.c_uint8 * 32),
                ("device_key_id", c.c_uint8 * 32), ("vouched", c.c_bool), ("vouched_by", c.c_uint8 * 32)]


lib = c.CDLL(sys.argv[1])


def judge(body, now_ms, keys):
    """keys: (use, key) pairs; 0 release, 1 fleet."""
    v, err, out, checks = c.c_void_p(), Error(), Verdict(), c.c_void_p()
    policy = Policy(size=c.sizeof(Policy), mode=2, accept_native=True, accept_original=True)
    assert lib.troth_verifier_new(c.byref(policy), c.byref(v), c.byref(err)) == 0, err.message
    for use, key in keys:
        pem = key.public_key().public_bytes(ser.Encoding.PEM, ser.PublicFormat.SubjectPublicKeyInfo)
        assert lib.troth_verifier_add_key(v, pem, c.c_size_t(len(pem)), use, 0, c.c_int64(0), c.c_int64(0),
                                          c.byref(err)) == 0, err.message
    out.size = c.sizeof(Verdict)
    rc = lib.troth_verifier_verify(v, body, c.c_size_t(len(body)), EXPORTER, c.c_int64(now_ms), c.byref(out),
                                   c.byref(checks), c.byref(err))
    why = c.string_at(checks).decode()
    lib.troth_free(checks)
    lib.troth_verifier_free(v)
    assert (rc == 0) == out.admitted == (out.reason == b"ok"), why
    return out, why


def expect(label, body, now_ms, keys, reason):
    out, why = judge(body, now_ms, keys)
    assert out.reason.decode() == reason, f"{label}: {out.reason.decode()} instead of {reason}: {why}"


def check_ours(key, alg, now_ms):
    """What troth_signer_create_claim makes, read by the CDDL alone."""
    s, err, ret, n = c.c_void_p(), Error(), c.c_void_p(), c.c_size_t()
    pem = key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())
    assert lib.troth_signer_new(pem, c.c_size_t(len(pem)), c.byref(s), c.byref(err)) == 0, err.message
    want = Claim(size=c.sizeof(Claim), node_id=b"web-1", binary_hash=b"sha256:" + HASH.hex().encode(),
                 version=b"1.2.3", time_ms=now_ms, challenge=CHALLENGE, exporter=EXPORTER)
    assert lib.troth_signer_create_claim(s, c.byref(want), c.byref(ret), c.byref(n), c.byref(err)) == 0, err.message
    obj = c.string_at(ret, n.value)
    lib.troth_free(ret)
    lib.troth_signer_free(s)
    tag = cbor2.loads(obj)
    protected, unprotected, body, sig = tag.value
    assert tag.tag == 18 and unprotected == {} and cbor2.loads(protected) == {1: alg, 4: key_id(key)[:16]}
    verify(key.public_key(), alg, sig, cbor2.dumps(["Signature1", protected, b"troth/claim/v1", body]))
    got = cbor2.loads(body)
    assert got == {6: now_ms // 1000, 8: {3: key_id(key)}, 10: CHALLENGE, 265: "tag:troth,2026:claim/1",
                   270: "troth-agent", 271: ["1.2.3"], -65537: now_ms % 1000, -65538: "web-1", -65539: HASH,
                   -65540: EXPORTER}, got
    # Deterministic: another encoder arrives at the same bytes.
    assert cbor2.dumps(got, canonical=True) == body
    try:
        verify(key.public_key(), alg, sig, cbor2.dumps(["Signature1", protected, b"troth/release/v1", body]))
    except InvalidSignature:
        return
    raise AssertionError("the domain string is not under the signature")


def main():
    now = int(time.time() * 1000)
    ed, other = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    p256 = ec.generate_private_key(ec.SECP256R1())
    big = rsa.generate_private_key(65537, 2048)
    done = 0
    for key, alg in ((ed, -8), (p256, -7), (big, -37), (big, -257)):
        label = f"native, alg {alg}"
        st = release(ed, -8, now)
        expect(label, native_body(key, claim(key, alg, now, st)), now, [(0, ed)], "ok")
        expect(label, native_body(key, claim(key, alg, now, st)), now, [(0, other)], "unknown_key")
        expect(label, native_body(key, claim(key, alg, now)), now, [(0, ed)], "hash_not_allowed")
        expect(label, native_body(key, claim(key, alg, now - 600000, st)), now, [(0, ed)], "clock_desync")
        expect(label, native_body(other, claim(key, alg, now, st)), now, [(0, ed)], "key_mismatch")
        # The statement by each kind of key too.
        expect(label, native_body(ed, claim(ed, -8, now, release(key, alg, now))), now, [(0, key)], "ok")
        done += 6
        if alg != -257:
            check_ours(key, alg, now)
            done += 1
    for flip in range(0, 8 * len(claim(ed, -8, now)), 5):
        obj = bytearray(claim(ed, -8, now, release(ed, -8, now)))
        obj[flip // 8] ^= 1 << flip % 8
        assert not judge(native_body(ed, bytes(obj)), now, [(0, ed)])[0].admitted, f"bit {flip}"
        done += 1
    expect("original", original_body(big, now // 1000), now, [(1, big)], "ok")
    expect("original", original_body(big, now // 1000), now, [], "unknown_key")
    expect("original", original_body(big, now // 1000 - 600), now, [(1, big)], "clock_desync")
    golden = b"agent-123:sha256:abc123def456:v1.2.3:1708012345"
    assert hashlib.sha256(golden).hexdigest().startswith("859f928f4ab455f2")
    print(f"{done + 3} claims agree with the documentation")


main()
