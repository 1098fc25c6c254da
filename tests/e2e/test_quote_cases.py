# SPDX-License-Identifier: Apache-2.0
"""troth quote and troth collateral, as somebody without any server uses them: evidence cases with their expected verdicts
(../shared/evidence, in place, where it is), evidence of the simulated vendor, policies, bundles, exit codes."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from harness import program

OK, REFUSED, FILE, NOT_YET, NOT_ASKED, USAGE = 0, 1, 4, 15, 16, 64
SIM_TIME = 1780272000  # when simulated evidence is verified: 2026-06-01
SHARED = pathlib.Path(os.environ.get("TROTH_EVIDENCE", pathlib.Path(__file__).parents[3] / "shared" / "evidence"))
shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no {SHARED} beside this repository")


def troth(*args, expect=OK, cwd=None):
    r = subprocess.run([program("troth"), *map(str, args)], capture_output=True, text=True, timeout=60, cwd=cwd)
    assert r.returncode == expect, (args, r.returncode, r.stdout[-3000:], r.stderr[-1000:])
    return r


def verify_json(*args, expect):
    return json.loads(troth("quote", "verify", "--json", *args, expect=expect).stdout)


# ---- shared cases ----


@shared
def test_every_case_is_judged_as_expected():
    """crypto, tcb_status, advisory_ids and default_policy at verification_time, and every time of checks[]."""
    cases, runs, wrong = 0, 0, []
    for folder in sorted(SHARED.iterdir()):
        if not (folder / "case.json").exists():
            continue
        r = subprocess.run([program("troth"), "quote", "verify", "--case", str(folder), "--json"], capture_output=True, text=True,
                           timeout=60)
        cases += 1
        said = json.loads(r.stdout) if r.stdout else {}
        runs += len(said.get("runs", []))
        if r.returncode or not said.get("as_expected"):
            wrong.append((folder.name, r.returncode, [x["differs"] for x in said.get("runs", [])], r.stderr))
    assert not wrong, wrong
    assert cases >= 127 and runs >= 280, (cases, runs)


@shared
@pytest.mark.parametrize("name, member, value", [
    ("tdx4-phala-uptodate", "crypto", "fail"),
    ("tdx4-phala-uptodate", "tcb_status", "OutOfDate"),
    ("tdx4-phala-uptodate", "advisory_ids", ["INTEL-SA-00001"]),
    ("tdx4-phala-uptodate", "default_policy", ["reject: TD DEBUG attribute (bit 0) set"]),
    ("tdx4-coco-debug-uptodate", "default_policy", ["accept attributes"]),
    ("tdx4-neg-tcbinfo-tampered", "crypto", "pass"),
    ("sgx3-phala-confhard", "tcb_status", "UpToDate"),
    ("snp-google-milan-debug", "default_policy", ["accept"]),
    ("snp-coco-vlek-v3", "default_policy", ["accept"]),
    ("snp-neg-wrong-vcek", "crypto", "pass"),
    ("tpm-swtpm-rsapss", "nonce_hex", "00"),
    ("tpm-neg-other-ak", "crypto", "pass"),
])
def test_a_wrong_expectation_is_seen(tmp_path, name, member, value):
    folder = tmp_path / "case"
    shutil.copytree(SHARED / name, folder, copy_function=shutil.copyfile)
    os.chmod(folder, 0o755)
    case = json.loads((folder / "case.json").read_text())
    case["expected"][member] = value
    (folder / "case.json").write_text(json.dumps(case))
    assert "WRONG" in troth("quote", "verify", "--case", folder, expect=REFUSED).stdout


@shared
def test_without_one_of_its_files_no_case_passes(tmp_path):
    for name in ("tcb_info.json", "qe_identity.json", "pck_crl.der", "root_ca_crl.der", "tcb_signing_chain.pem", "quote.bin",
                 "root_ca.pem"):
        folder = tmp_path / name
        shutil.copytree(SHARED / "synth-tdx4-uptodate", folder, copy_function=shutil.copyfile)
        os.chmod(folder, 0o755)
        (folder / name).unlink()
        said = json.loads(troth("quote", "verify", "--case", folder, "--json", expect=REFUSED).stdout)
        assert said["runs"][0]["crypto"] == "fail", name


@shared
def test_secretvms_rtmr3_is_compared_with_compose_and_rootfs(tmp_path):
    """A dev image has the same MRTD, RTMR1 and RTMR2: only the rootfs tells."""
    case = SHARED / "tdx4-secretvm-docker-ba87"
    fields = json.loads((case / "case.json").read_text())["fields"]
    rootfs = "2a6d16965f5ce5143bcba614bb7896cdfc598a71c6e1ecc55efd3d8f74ba7c8a"

    def policy(compose, rootfs):
        (tmp_path / "policy.yaml").write_text(
            "name: secretvm\nagent_types: [hub]\nevidence: [tdx]\nroots: [intel]\nreport_data: none\ntdx:\n  images:\n"
            f"    - name: prod\n      mrtd: '{fields['mr_td']}'\n      rtmr0: '{fields['rtmr0']}'\n"
            f"      rtmr1: '{fields['rtmr1']}'\n      rtmr2: '{fields['rtmr2']}'\n"
            f"      rtmr3: {{secretvm: {{compose_sha256: '{hashlib.sha256(compose).hexdigest()}', rootfs: '{rootfs}'}}}}\n")
        return ["--policy", tmp_path / "policy.yaml"]

    args = [case / "quote.bin", "--kind", "tdx", "--collateral", case, "--time", "1773203941"]
    compose = (case / "docker-compose.yaml").read_bytes()
    good = verify_json(*args, *policy(compose, rootfs), expect=NOT_ASKED)
    assert good["verdict"]["image"] == "prod" and "fresh" in good["not_asked"]
    for changed in (policy(compose + b"\n", rootfs), policy(compose, "00" + rootfs[2:])):
        bad = verify_json(*args, *changed, expect=REFUSED)
        assert bad["verdict"]["code"] == "measurement_mismatch"
        failed = [c["check"] for c in bad["verdict"]["result"]["checks"] if not c["ok"]]
        assert failed == ["image", "image.rtmr3"], failed


# ---- the simulated vendor ----


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated")
    for kind in ("tdx", "sgx", "snp"):
        troth("quote", "simulate", root / kind, "--kind", kind, "--report-data", "07" * 64)
    return root


def test_simulated_cases_are_judged_as_expected(simulated):
    for kind in ("tdx", "sgx", "snp"):
        out = troth("quote", "verify", "--case", simulated / kind).stdout
        assert f"{kind} ({kind}): as expected" in out
    (simulated / "tdx" / "note").mkdir(exist_ok=True)  # other things in the folder are nobody's business
    case = json.loads((simulated / "tdx" / "case.json").read_text())
    case["expected"]["crypto"] = "fail"
    wrong = simulated / "wrong"
    shutil.copytree(simulated / "tdx", wrong, dirs_exist_ok=True)
    (wrong / "case.json").write_text(json.dumps(case))
    troth("quote", "verify", "--case", wrong, expect=REFUSED)
    case["expected"]["crypto"] = "either"
    (wrong / "case.json").write_text(json.dumps(case))
    troth("quote", "verify", "--case", wrong)
    del case["expected"]
    (wrong / "case.json").write_text(json.dumps(case))
    assert "no `expected`" in troth("quote", "verify", "--case", wrong).stdout
    (wrong / "case.json").unlink()
    troth("quote", "verify", "--case", wrong, expect=FILE)


def test_the_simulated_root_passes_nowhere_by_itself(simulated):
    said = verify_json(simulated / "tdx" / "quote.bin", "--kind", "tdx", "--collateral", simulated / "tdx", "--time", SIM_TIME,
                       expect=REFUSED)
    assert said["verdict"]["code"] == "chain_root" and said["verdict"]["tier"] == "none"


# ---- verify: questions, exit codes ----


def fields(simulated, kind):
    return json.loads(troth("quote", "show", "--json", simulated / kind / ("report.bin" if kind == "snp" else "quote.bin"),
                            "--kind", kind).stdout)["fields"]


def write_policy(path, simulated, kind="tdx", extra="", section=""):
    f = fields(simulated, kind)
    pem = (simulated / kind / "root_ca.pem").read_bytes()
    spki = x509.load_pem_x509_certificate(pem).public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    image = ", ".join(f"{k}: '{f[k]}'" for k in ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"))
    path.write_text(f"name: lab\nagent_types: ['*']\nevidence: [{kind}]\nreport_data: none\n"
                    f"roots: [{{name: sim, simulated: true, spki_sha256: '{hashlib.sha256(spki).hexdigest()}'}}]\n{extra}"
                    f"{kind}:\n{section}  images: [{{name: lab-image, {image}}}]\n")
    return path


def test_all_four_questions_or_not_verified(simulated, tmp_path):
    policy = write_policy(tmp_path / "policy.yaml", simulated)
    base = [simulated / "tdx" / "quote.bin", "--kind", "tdx", "--collateral", simulated / "tdx", "--time", SIM_TIME]
    out = troth("quote", "verify", *base, "--policy", policy, "--report-data", "07" * 64).stdout
    assert out.startswith("VERIFIED\n") and "SIMULATED" in out and "image lab-image" in out
    # Nothing is wrong, but freshness was not asked: no exit code 0, and it is said.
    out = troth("quote", "verify", *base, "--policy", policy, expect=NOT_ASKED).stdout
    assert "NOT VERIFIED" in out and "fresh" in out
    # Without a policy nobody compared measurements either.
    out = troth("quote", "verify", *base, "--root", simulated / "tdx" / "root_ca.pem", "--report-data", "07" * 64,
                expect=NOT_ASKED).stdout
    assert "NOT VERIFIED" in out and "measurements" in out
    out = troth("quote", "verify", *base, "--policy", policy, "--report-data", "08" * 64, expect=REFUSED).stdout
    assert out.startswith("REFUSED: report_data_mismatch")
    strict = write_policy(tmp_path / "strict.yaml", simulated, extra="min_tier: hardware\n")
    said = verify_json(*base, "--policy", strict, "--report-data", "07" * 64, expect=REFUSED)
    assert said["verdict"]["code"] == "tier_too_low"


def test_json_is_stable(simulated, tmp_path):
    policy = write_policy(tmp_path / "policy.yaml", simulated)
    args = [simulated / "tdx" / "quote.bin", "--kind", "tdx", "--collateral", simulated / "tdx", "--time", SIM_TIME, "--policy", policy,
            "--report-data", "07" * 64]
    first = troth("quote", "verify", "--json", *args).stdout
    assert first == troth("quote", "verify", "--json", *args).stdout
    said = json.loads(first)
    assert list(said) == ["verified", "not_asked", "verdict"] and said["verified"] is True
    assert {"ok", "reason", "code", "tier", "simulated", "image", "time", "expires_at", "policy", "policy_sha256", "result",
            "evidence_sha256", "report_data_scheme"} <= set(said["verdict"])
    for check in said["verdict"]["result"]["checks"]:
        assert {"check", "question", "ok", "expected", "seen"} <= set(check)


def test_evidence_is_read_as_hex_and_base64_too(simulated, tmp_path):
    import base64
    raw = (simulated / "tdx" / "quote.bin").read_bytes()
    (tmp_path / "hex").write_text(raw.hex() + "\n")
    (tmp_path / "b64").write_bytes(base64.encodebytes(raw))
    args = ["--kind", "tdx", "--collateral", simulated / "tdx", "--time", SIM_TIME, "--root", simulated / "tdx" / "root_ca.pem"]
    for name in ("hex", "b64"):
        troth("quote", "verify", tmp_path / name, *args, expect=NOT_ASKED)


def test_usage_is_refused_with_a_sentence(simulated, tmp_path):
    quote = simulated / "tdx" / "quote.bin"
    for args, expect, says in [
        ([], USAGE, "FILE is missing"),
        ([quote], USAGE, "--kind is needed"),
        ([quote, "--kind", "sev"], USAGE, "--kind takes"),
        ([quote, "--case", simulated / "tdx"], USAGE, "leave FILE out"),
        ([quote, "--kind", "tdx", "--report-data", "xy"], USAGE, "hex digits"),
        ([quote, "--kind", "tdx", "--report-data", "00" * 65], USAGE, "64 bytes"),
        ([quote, "--kind", "tdx", "--challenge", "00" * 32], USAGE, "needs --public-key"),
        ([quote, "--kind", "tdx", "--time", "soon"], USAGE, "--time takes"),
        ([quote, "--kind", "tdx", "--policy", tmp_path / "none"], FILE, "does not exist"),
        ([quote, "--kind", "tdx", "--collateral", tmp_path / "none"], FILE, "does not exist"),
        ([tmp_path / "none", "--kind", "tdx"], FILE, "does not exist"),
    ]:
        assert says in troth("quote", "verify", *args, expect=expect).stderr, args
    (tmp_path / "bad.yaml").write_text("name: a\nagent_types: ['*']\nevidence: [tdx]\nroots: [intel]\ntdx: {debg: allow}\n")
    assert 'tdx: unknown member "debg"' in troth("quote", "verify", quote, "--kind", "tdx", "--policy", tmp_path / "bad.yaml",
                                                  expect=FILE).stderr


def test_show_names_every_field_and_verifies_nothing(simulated, tmp_path):
    out = troth("quote", "show", simulated / "tdx" / "quote.bin").stdout
    assert "NOT VERIFIED" in out
    for name in ("mrtd", "rtmr3", "td_attributes", "tee_tcb_svn", "report_data", "user_data", "qe_mrsigner", "pck_fmspc", "pck_tcb_components"):
        assert name in out
    assert "chip_id" in troth("quote", "show", simulated / "snp" / "report.bin").stdout
    (tmp_path / "short").write_bytes(b"\x04\x00\x02\x00")
    assert "quote_length" in troth("quote", "show", tmp_path / "short", expect=FILE).stderr


# ---- collateral ----


def test_a_bundle_is_made_checked_signed_and_used(simulated, tmp_path):
    bundle, signed = tmp_path / "bundle", tmp_path / "bundle.signed"
    troth("collateral", "import", simulated / "tdx", simulated / "snp" / "ark.pem", simulated / "snp" / "ask.pem", "--out", bundle)
    said = json.loads(troth("collateral", "show", "--json", bundle, "--time", SIM_TIME).stdout)
    assert {"tcb_info", "qe_identity", "tcb_chain", "pck_crl_platform", "root_crl", "ark", "ask"} <= {i["item"] for i in said["items"]}
    assert all(i["state"] == "ok" for i in said["items"])
    troth("collateral", "check", bundle, "--time", SIM_TIME)
    assert min(i["expires"] for i in said["items"] if i["expires"]).startswith("2056-01-01")
    assert "expires soon" in troth("collateral", "check", bundle, "--time", "2055-12-28", "--warn", "7d", expect=NOT_YET).stdout
    assert "expired" in troth("collateral", "check", bundle, "--time", "2099-01-01", expect=REFUSED).stdout
    args = [simulated / "tdx" / "quote.bin", "--kind", "tdx", "--time", SIM_TIME, "--root", simulated / "tdx" / "root_ca.pem"]
    troth("quote", "verify", *args, "--collateral", bundle, expect=NOT_ASKED)
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "key.pem"], check=True)
    subprocess.run(["openssl", "pkey", "-in", tmp_path / "key.pem", "-pubout", "-out", tmp_path / "pub.pem"], check=True)
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "other.pem"], check=True)
    subprocess.run(["openssl", "pkey", "-in", tmp_path / "other.pem", "-pubout", "-out", tmp_path / "otherpub.pem"], check=True)
    os.chmod(tmp_path / "key.pem", 0o600)
    troth("collateral", "sign", bundle, "--key", tmp_path / "key.pem", "--out", signed)
    troth("quote", "verify", *args, "--collateral", signed, "--key", tmp_path / "pub.pem", expect=NOT_ASKED)
    assert "not signed by that key" in troth("quote", "verify", *args, "--collateral", signed, "--key", tmp_path / "otherpub.pem",
                                             expect=FILE).stderr
    assert "is not signed" in troth("collateral", "check", bundle, "--key", tmp_path / "pub.pem", expect=FILE).stderr
    damaged = bytearray(signed.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    signed.write_bytes(damaged)
    troth("collateral", "show", signed, "--key", tmp_path / "pub.pem", expect=FILE)


def test_what_is_no_collateral_is_not_imported(simulated, tmp_path):
    (tmp_path / "text").write_text("hello world\n")
    assert "neither JSON" in troth("collateral", "import", tmp_path / "text", "--out", tmp_path / "b", expect=FILE).stderr
    assert not (tmp_path / "b").exists()
    assert "--out is needed" in troth("collateral", "import", simulated / "tdx", expect=USAGE).stderr
    (tmp_path / "folder").mkdir()
    assert "nothing to import" in troth("collateral", "import", tmp_path / "folder", "--out", tmp_path / "b", expect=FILE).stderr
