# SPDX-License-Identifier: Apache-2.0
"""Verifies a folder of simulated evidence with another library than ours: chain, lists, signed JSON, quote, binding.

usage: simulated_case.py DIR.  Exit 0: good. 1: not, with what is wrong. 77: python3-cryptography is not here."""
import hashlib
import json
import re
import struct
import sys
from pathlib import Path

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
except ImportError:
    sys.exit(77)

VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
SGX = "1.2.840.113741.1.13.1"
KDS = "1.3.6.1.4.1.3704.1."


def ecdsa(key, rs, message, algorithm):
    half = len(rs) // 2
    r, s = int.from_bytes(rs[:half], "big"), int.from_bytes(rs[half:], "big")
    key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(algorithm))


def point(raw):
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + raw)


def signed_by(child, issuer):
    assert child.issuer == issuer.subject, "issuer's name"
    key, tbs = issuer.public_key(), getattr(child, "tbs_certificate_bytes", None) or child.tbs_certlist_bytes
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(child.signature, tbs, ec.ECDSA(hashes.SHA256()))
    else:
        key.verify(child.signature, tbs, padding.PSS(padding.MGF1(hashes.SHA384()), 48), hashes.SHA384())


def pems(data):
    end = b"-----END CERTIFICATE-----"
    return [x509.load_pem_x509_certificate(p + end) for p in data.split(end)[:-1]]


def cn(cert):
    return cert.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value


def organisation(cert):
    return cert.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)[0].value


def spki(cert):
    return cert.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signed_json(text, name, key):
    """The signed bytes are the value as it stands in the text."""
    head, tail = b'{"%s":' % name, text.rindex(b',"signature":"')
    assert text.startswith(head)
    ecdsa(key, bytes.fromhex(json.loads(text)["signature"]), text[len(head):tail], hashes.SHA256())
    value = json.loads(text)[name.decode()]
    for date in value["issueDate"], value["nextUpdate"]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", date), date
    return value


def sgx_values(leaf):
    """OID tails and primitive values of the SGX extension, flat."""
    out, stack = {}, [leaf.extensions.get_extension_for_oid(x509.ObjectIdentifier(SGX)).value.value]
    prefix = bytes.fromhex("2a864886f84d010d01")

    def elements(data):
        while data:
            tag, n, at = data[0], data[1], 2
            if n & 0x80:
                k = n & 0x7F
                n, at = int.from_bytes(data[2:2 + k], "big"), 2 + k
            yield tag, data[at:at + n]
            data = data[at + n:]

    while stack:
        for tag, body in elements(stack.pop()):
            if tag != 0x30:
                continue
            inner = list(elements(body))
            if inner and inner[0][0] == 6 and len(inner) == 2:
                tail = inner[0][1][len(prefix):]
                if inner[1][0] == 0x30:
                    stack.append(inner[1][1])
                else:
                    assert tail not in out, "twice"
                    out[tail] = inner[1][1]
            else:
                stack.append(body)
    return out


def intel(folder):
    quote = (folder / "quote.bin").read_bytes()
    version, key_type, tee = struct.unpack_from("<HHI", quote)
    assert key_type == 2 and quote[12:28] == VENDOR
    if version == 5:
        kind, size = struct.unpack_from("<HI", quote, 48)
        start = 54
        assert {1: (384, 0), 2: (584, 0x81), 3: (648, 0x81)}[kind] == (size, tee)
    else:
        size, start = (384 if tee == 0 else 584), 48
    end = start + size
    auth = quote[end + 4:]
    assert struct.unpack_from("<I", quote, end)[0] == len(auth), "auth length"
    sig, att, rest = auth[:64], auth[64:128], auth[128:]
    if version > 3:
        outer, n = struct.unpack_from("<HI", rest)
        assert outer == 6 and n == len(rest) - 6
        rest = rest[6:]
    qe, qe_sig = rest[:384], rest[384:448]
    n = struct.unpack_from("<H", rest, 448)[0]
    qe_auth, rest = rest[450:450 + n], rest[450 + n:]
    inner, n = struct.unpack_from("<HI", rest)
    assert inner == 5 and n == len(rest) - 6 and rest[-1] == 0
    leaf, middle, root = pems(rest[6:])
    anchor, = pems((folder / "root_ca.pem").read_bytes())
    assert spki(root) == spki(anchor), "root"
    for child, issuer in ((leaf, middle), (middle, root), (root, root)):
        signed_by(child, issuer)
    assert [cn(leaf), cn(root)] == ["Intel SGX PCK Certificate", "Intel SGX Root CA"]
    assert all(organisation(c) == "Troth Simulated TEE" for c in (leaf, middle, root))
    assert middle.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0

    signer, root2 = pems((folder / "tcb_signing_chain.pem").read_bytes())
    signed_by(signer, root)
    assert spki(root2) == spki(anchor) and cn(signer) == "Intel SGX TCB Signing"
    root_crl = x509.load_der_x509_crl((folder / "root_ca_crl.der").read_bytes())
    pck_crl = x509.load_der_x509_crl((folder / "pck_crl.der").read_bytes())
    signed_by(root_crl, root)
    signed_by(pck_crl, middle)
    for crl, cert in ((root_crl, middle), (root_crl, signer), (pck_crl, leaf)):
        assert crl.get_revoked_certificate_by_serial_number(cert.serial_number) is None, "revoked"
        crl.extensions.get_extension_for_class(x509.CRLNumber)
        crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)

    tcb = signed_json((folder / "tcb_info.json").read_bytes(), b"tcbInfo", signer.public_key())
    identity = signed_json((folder / "qe_identity.json").read_bytes(), b"enclaveIdentity", signer.public_key())
    values = sgx_values(leaf)
    assert len(values) == (22 if cn(middle).endswith("Processor CA") else 26), sorted(values)
    assert values[b"\x04"].hex() == tcb["fmspc"] and values[b"\x03"].hex() == tcb["pceId"]
    level = tcb["tcbLevels"][0]["tcb"]
    want = ([level["sgxtcbcomp%02dsvn" % i] for i in range(1, 17)] if tcb["version"] == 2 else
            [c["svn"] for c in level["sgxtcbcomponents"]])
    have = [int.from_bytes(values[bytes((2, i))], "big") for i in range(1, 17)]
    assert all(a >= b for a, b in zip(have, want)), "SGX components"
    assert int.from_bytes(values[b"\x02\x11"], "big") >= level["pcesvn"]
    if tee:
        svn = quote[start:start + 16]
        assert all(a >= c["svn"] for a, c in list(zip(svn, level["tdxtcbcomponents"]))[2 if svn[1] else 0:])
        if svn[1]:
            module, = [m for m in tcb["tdxModuleIdentities"] if m["id"] == "TDX_%02X" % svn[1]]
            assert module["tcbLevels"][0]["tcb"]["isvsvn"] <= svn[0]

    leaf_key = leaf.public_key()
    ecdsa(leaf_key, qe_sig, qe, hashes.SHA256())
    assert qe[320:384] == hashlib.sha256(att + qe_auth).digest() + bytes(32), "QE binding"
    ecdsa(point(att), sig, quote[:end], hashes.SHA256())
    mask = bytes.fromhex(identity["attributesMask"])
    assert bytes(a & m for a, m in zip(qe[48:64], mask)) == bytes.fromhex(identity["attributes"])
    assert qe[128:160].hex() == identity["mrsigner"]
    assert struct.unpack_from("<HH", qe, 256) == (identity["isvprodid"], identity["tcbLevels"][0]["tcb"]["isvsvn"])
    return quote[end - 64:end] if size != 648 else quote[start + 520:start + 584]


def kds(vek, tail):
    return vek.extensions.get_extension_for_oid(x509.ObjectIdentifier(KDS + tail)).value.value


def amd(folder):
    report = (folder / "report.bin").read_bytes()
    assert len(report) == 1184
    vek = x509.load_der_x509_certificate((folder / "vek.der").read_bytes())
    ask, = pems((folder / "ask.pem").read_bytes())
    ark, = pems((folder / "ark.pem").read_bytes())
    for child, issuer in ((vek, ask), (ask, ark), (ark, ark)):
        signed_by(child, issuer)
        assert organisation(child) == "Troth Simulated TEE"
    assert ask.public_key().key_size == ark.public_key().key_size == 4096
    crl = x509.load_der_x509_crl((folder / "crl.der").read_bytes())
    signed_by(crl, ark)
    assert crl.get_revoked_certificate_by_serial_number(ask.serial_number) is None, "revoked"
    r, s = report[0x2A0:0x2E8][::-1], report[0x2E8:0x330][::-1]
    assert r[:24] == s[:24] == bytes(24)
    ecdsa(vek.public_key(), r[24:] + s[24:], report[:0x2A0], hashes.SHA384())
    flags = struct.unpack_from("<I", report, 0x48)[0]
    vlek = flags >> 2 == 1
    assert cn(vek) == ("SEV-VLEK" if vlek else "SEV-VCEK")
    turin = cn(ark) == "ARK-Turin"
    tcb = report[0x180:0x188]
    parts = ({"3.9": 0, "3.1": 1, "3.2": 2, "3.3": 3, "3.8": 7} if turin else {"3.1": 0, "3.2": 1, "3.3": 6, "3.8": 7})
    for tail, at in parts.items():
        assert int.from_bytes(kds(vek, tail)[2:], "big") == tcb[at], "TCB " + tail
    if not vlek:
        n = 8 if turin else 64
        assert kds(vek, "4") == report[0x1A0:0x1A0 + n] and report[0x1A0 + n:0x1E0] == bytes(64 - n)
    if struct.unpack_from("<I", report)[0] >= 3:
        family, model = report[0x188], report[0x189]
        product = "Turin" if family == 0x1A else "Milan" if model < 0x10 else "Genoa"
        assert cn(ark) == "ARK-" + product
    return report[0x50:0x90]


def main():
    folder = Path(sys.argv[1])
    case = json.loads((folder / "case.json").read_text())
    try:
        data = amd(folder) if (folder / "report.bin").exists() else intel(folder)
    except Exception as e:  # whatever is wrong with a case is one answer
        print("%s: %s %s" % (folder.name, type(e).__name__, e))
        return 1
    return 0 if data.hex() == case["fields"]["report_data"] else 1


if __name__ == "__main__":
    sys.exit(main())
