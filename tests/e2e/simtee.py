# SPDX-License-Identifier: Apache-2.0
"""A vendor of TEEs in Python: roots, certificates, collateral and TDX v4 quotes of the shape that Intel's have, made with
python3-cryptography alone. What the verifier in C thinks of them was written by somebody else (src/evidence), and so was the
simulated TEE of the agent (src/evidence/sim*.c): the three agree or a test fails."""
import datetime
import hashlib
import json
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

UTC = datetime.timezone.utc
BEGIN, END = datetime.datetime(2026, 1, 1, tzinfo=UTC), datetime.datetime(2056, 1, 1, tzinfo=UTC)
SGX_EXTENSION = x509.ObjectIdentifier("1.2.840.113741.1.13.1")
VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
FMSPC, PCEID = bytes.fromhex("00606a000000"), bytes(2)
COMPONENTS = [8, 8, 2, 2, 4, 1, 0, 3] + [0] * 8
PCESVN = 13
TD_SVN = bytes([5, 0, 2] + [0] * 13)
QE_SIGNER, TD_QE_PRODUCT, TD_QE_SVN = bytes.fromhex("dc" * 32), 2, 4
GOOD_ATTRIBUTES = 1 << 28  # SEPT_VE_DISABLE
GOOD_XFAM = 0x602e7
MODULE_SIGNER = bytes(48)


def der(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    head = bytes([n]) if n < 128 else bytes([0x80 | (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + head + body


def der_int(n):
    return der(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def der_oid(*tail):
    return der(6, bytes.fromhex("2a864886f84d010d01") + bytes(tail))


def sgx_extension(ppid):
    item = lambda n, value: der(0x30, der_oid(n), value)  # noqa: E731
    tcb = [der(0x30, der_oid(2, k + 1), der_int(v)) for k, v in enumerate(COMPONENTS)]
    tcb += [der(0x30, der_oid(2, 17), der_int(PCESVN)), der(0x30, der_oid(2, 18), der(4, bytes(COMPONENTS)))]
    flags = [der(0x30, der_oid(7, k), der(1, b"\xff")) for k in (1, 2, 3)]
    return der(0x30, item(1, der(4, ppid)), item(2, der(0x30, *tcb)), item(3, der(4, PCEID)), item(4, der(4, FMSPC)),
               item(5, der(0x0a, b"\x01")), item(6, der(4, bytes(16))), item(7, der(0x30, *flags)))


def name(cn):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn),
                      x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Python Simulated TEE"),
                      x509.NameAttribute(NameOID.LOCALITY_NAME, "Nowhere"),
                      x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "NA"), x509.NameAttribute(NameOID.COUNTRY_NAME, "US")])


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def raw_sign(key, message):
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def point(key):
    n = key.public_key().public_numbers()
    return n.x.to_bytes(32, "big") + n.y.to_bytes(32, "big")


def pem(cert):
    return cert.public_bytes(serialization.Encoding.PEM)


def when(t):
    return t.strftime("%Y-%m-%dT%H:%M:%SZ")


class Vendor:
    """Root, platform CA, PCK, signer of TCB info, quoting enclave; one platform."""

    def __init__(self):
        self.root_key, self.ca_key, self.pck_key, self.tcb_key, self.att_key = (new_key() for _ in range(5))
        self.root = self.issue("Intel SGX Root CA", self.root_key, None, ca=1)
        self.ca = self.issue("Intel SGX PCK Platform CA", self.ca_key, self.root_key, self.root, ca=0)
        self.pck = self.issue("Intel SGX PCK Certificate", self.pck_key, self.ca_key, self.ca, sgx=True)
        self.tcb = self.issue("Intel SGX TCB Signing", self.tcb_key, self.root_key, self.root)

    def issue(self, cn, key, by, issuer=None, ca=None, sgx=False):
        public = key.public_key()
        by_public = by.public_key() if by else public
        b = (x509.CertificateBuilder().subject_name(name(cn)).issuer_name(issuer.subject if issuer else name(cn))
             .public_key(public).serial_number(x509.random_serial_number()).not_valid_before(BEGIN.replace(tzinfo=None))
             .not_valid_after(END.replace(tzinfo=None))
             .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by_public), False)
             .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
             .add_extension(x509.KeyUsage(ca is None, ca is None, False, False, False, ca is not None, ca is not None, False,
                                          False), True)
             .add_extension(x509.BasicConstraints(ca is not None, ca), True))
        if sgx:
            b = b.add_extension(x509.UnrecognizedExtension(SGX_EXTENSION, sgx_extension(bytes(16))), False)
        return b.sign(by or key, hashes.SHA256())

    def crl(self, issuer, key, revoked=()):
        b = (x509.CertificateRevocationListBuilder().issuer_name(issuer.subject).last_update(BEGIN.replace(tzinfo=None))
             .next_update(END.replace(tzinfo=None)).add_extension(x509.CRLNumber(1), False)
             .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False))
        for cert in revoked:
            b = b.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(cert.serial_number)
                                          .revocation_date(BEGIN.replace(tzinfo=None)).build())
        return b.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def signed_json(self, member, value):
        text = json.dumps(value, separators=(",", ":"))
        return f'{{"{member}":{text},"signature":"{raw_sign(self.tcb_key, text.encode()).hex()}"}}'.encode()

    def tcb_info(self, status="UpToDate", evaluation=17, advisories=()):
        level = {"tcb": {"sgxtcbcomponents": [{"svn": v} for v in COMPONENTS], "pcesvn": PCESVN,
                         "tdxtcbcomponents": [{"svn": v} for v in TD_SVN]},
                 "tcbDate": when(BEGIN), "tcbStatus": status, **({"advisoryIDs": list(advisories)} if advisories else {})}
        return self.signed_json("tcbInfo", {
            "id": "TDX", "version": 3, "issueDate": when(BEGIN), "nextUpdate": when(END), "fmspc": FMSPC.hex(),
            "pceId": PCEID.hex(), "tcbType": 0, "tcbEvaluationDataNumber": evaluation,
            "tdxModule": {"mrsigner": MODULE_SIGNER.hex(), "attributes": "0" * 16, "attributesMask": "f" * 16},
            "tcbLevels": [level]})

    def qe_identity(self, evaluation=17):
        return self.signed_json("enclaveIdentity", {
            "id": "TD_QE", "version": 2, "issueDate": when(BEGIN), "nextUpdate": when(END),
            "tcbEvaluationDataNumber": evaluation, "miscselect": "00000000", "miscselectMask": "ffffffff",
            "attributes": "11" + "0" * 30, "attributesMask": "fbffffffffffffff" + "0" * 16, "mrsigner": QE_SIGNER.hex(),
            "isvprodid": TD_QE_PRODUCT,
            "tcbLevels": [{"tcb": {"isvsvn": TD_QE_SVN}, "tcbDate": when(BEGIN), "tcbStatus": "UpToDate"}]})

    def qe_report(self, report_data):
        r = bytearray(384)
        r[0:16] = bytes(COMPONENTS)
        struct.pack_into("<QQ", r, 48, 0x15, 0xe7)
        r[64:96] = hashlib.sha256(b"quoting enclave").digest()
        r[128:160] = QE_SIGNER
        struct.pack_into("<HH", r, 256, TD_QE_PRODUCT, TD_QE_SVN)
        r[320:384] = report_data.ljust(64, b"\0")
        return bytes(r)

    def quote(self, report_data, mrtd=bytes([0xaa]) * 48, rtmrs=None, attributes=GOOD_ATTRIBUTES, flip=None):
        """TDX v4. flip: an offset of the body whose lowest bit is turned after signing."""
        assert len(report_data) == 64
        rtmrs = rtmrs or [bytes([k]) * 48 for k in (1, 2, 3, 4)]
        body = (TD_SVN + bytes(48) + MODULE_SIGNER + bytes(8) + struct.pack("<QQ", attributes, GOOD_XFAM) + mrtd + bytes(48 * 3) +
                b"".join(rtmrs) + report_data)
        assert len(body) == 584
        signed = struct.pack("<HHIHH", 4, 2, 0x81, 0, 0) + VENDOR + bytes(20) + body
        auth = bytes(range(32))
        report = self.qe_report(hashlib.sha256(point(self.att_key) + auth).digest())
        chain = pem(self.pck) + pem(self.ca) + pem(self.root) + b"\0"
        inner = (report + raw_sign(self.pck_key, report) + struct.pack("<H", len(auth)) + auth +
                 struct.pack("<HI", 5, len(chain)) + chain)
        data = raw_sign(self.att_key, signed) + point(self.att_key) + struct.pack("<HI", 6, len(inner)) + inner
        if flip is not None:
            signed = signed[:48 + flip] + bytes([signed[48 + flip] ^ 1]) + signed[49 + flip:]
        return signed + struct.pack("<I", len(data)) + data

    def root_spki_sha256(self):
        public = self.root_key.public_key()
        spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(spki).hexdigest()

    def write_collateral(self, folder, revoked=(), **tcb):
        """Files as the vendor's service and the evidence cases have them."""
        folder.mkdir(parents=True, exist_ok=True)
        for file, data in (("tcb_info.json", self.tcb_info(**tcb)), ("qe_identity.json", self.qe_identity()),
                           ("pck_crl.der", self.crl(self.ca, self.ca_key, revoked)),
                           ("root_ca_crl.der", self.crl(self.root, self.root_key)),
                           ("tcb_signing_chain.pem", pem(self.tcb) + pem(self.root)),
                           ("pck_crl_issuer_chain.pem", pem(self.ca) + pem(self.root)), ("root_ca.pem", pem(self.root))):
            (folder / file).write_bytes(data)
        return folder

    def write_case(self, folder, report_data=bytes(64), crypto="pass", status="UpToDate", quote=None, **tcb):
        """A whole evidence case: `troth quote verify --case` reads it."""
        self.write_collateral(folder, **tcb)
        (folder / "quote.bin").write_bytes(quote or self.quote(report_data))
        now = int(datetime.datetime(2026, 6, 1, tzinfo=UTC).timestamp())
        (folder / "case.json").write_text(json.dumps({
            "name": folder.name, "kind": "TDX quote v4", "verification_time": now,
            "expected": {"crypto": crypto, "tcb_status": status, "advisory_ids": None, "default_policy": None, "why": None}}))
        return folder


def report_data(challenge, spki):
    """Scheme `troth` (docs/attestation.md)."""
    return hashlib.sha512(b"troth/report-data/v1\0" + struct.pack(">H", len(challenge)) + challenge +
                          struct.pack(">H", len(spki)) + spki).digest()
