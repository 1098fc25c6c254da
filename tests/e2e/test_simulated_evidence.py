# SPDX-License-Identifier: Apache-2.0
"""Folders that `troth quote simulate` makes: another library verifies the good ones, and `troth quote verify --case` comes
to the outcome that stands in case.json, for every fault of every kind."""
import json
import subprocess

import pytest

from harness import ROOT, program

KINDS = {"tdx": ["--version", "4"], "sgx": ["--version", "3"], "snp": ["--version", "3"]}
SHAPES = [("tdx", ["--version", "4"]), ("tdx", ["--version", "5"]), ("sgx", ["--version", "3"]), ("sgx", ["--version", "5"]),
          ("snp", ["--version", "2"]), ("snp", ["--version", "3", "--vlek"]), ("snp", ["--version", "4", "--product", "genoa"]),
          ("snp", ["--version", "5", "--product", "turin"])]
REPORT_DATA = "5a" * 64


def troth(*args, **kw):
    return subprocess.run([program("troth"), "quote", *map(str, args)], capture_output=True, text=True, timeout=60, **kw)


def faults():
    out = troth("simulate", "--fault", "list")
    assert out.returncode == 0, out.stderr
    for line in out.stdout.splitlines():
        slug, kinds, code, _ = line.split(maxsplit=3)
        for kind in kinds.split(","):
            yield kind, slug, code


@pytest.mark.parametrize("kind,options", SHAPES)
def test_another_library_verifies_it(tmp_path, kind, options):
    made = troth("simulate", tmp_path / "case", "--kind", kind, "--report-data", REPORT_DATA, *options)
    assert made.returncode == 0, made.stderr
    assert json.loads((tmp_path / "case" / "case.json").read_text())["fields"]["report_data"] == REPORT_DATA
    other = subprocess.run(["/usr/bin/python3", ROOT / "tests" / "simulated_case.py", tmp_path / "case"], capture_output=True,
                           text=True)
    assert other.returncode == 0, other.stdout + other.stderr
    ours = troth("verify", "--case", tmp_path / "case")
    assert ours.returncode == 0, ours.stdout + ours.stderr


def test_every_fault_is_found_for_what_it_is(tmp_path):
    seen = list(faults())
    assert {kind for kind, _, _ in seen} == set(KINDS) and len(seen) > 50
    for kind, slug, code in seen:
        folder = tmp_path / f"{kind}-{slug}"
        made = troth("simulate", folder, "--kind", kind, "--fault", slug, *KINDS[kind], "--json")
        assert made.returncode == 0, made.stderr
        assert json.loads(made.stdout)["code"] == code
        # In a folder the anchor is the chain's own ARK.
        if (kind, slug) == ("snp", "other-root"):
            code = "chain_signature"
        assert json.loads((folder / "case.json").read_text())["expected"]["code"] == code
        ours = troth("verify", "--case", folder)
        assert ours.returncode == 0, f"{folder.name}: {ours.stdout}{ours.stderr}"
        assert f", {code}  as expected" in ours.stdout, f"{folder.name}: {ours.stdout}"
        if slug not in ("qe-mrsigner", "snp-tcb"):
            continue
        # The same folder with the other outcome written down: the comparison is no formality.
        case = json.loads((folder / "case.json").read_text())
        case["expected"]["crypto"] = "pass"
        for check in case["checks"]:
            check["expect_crypto"] = "pass"
        (folder / "case.json").write_text(json.dumps(case))
        assert troth("verify", "--case", folder).returncode != 0, f"{folder.name} passed as good"


@pytest.mark.parametrize("status", ["SWHardeningNeeded", "ConfigurationNeeded", "OutOfDate", "Revoked"])
@pytest.mark.parametrize("kind", ["tdx", "sgx"])
def test_a_status_is_reported(tmp_path, kind, status):
    made = troth("simulate", tmp_path / "case", "--kind", kind, "--status", status)
    assert made.returncode == 0, made.stderr
    case = json.loads((tmp_path / "case" / "case.json").read_text())
    assert case["expected"]["tcb_status"] == status
    assert case["expected"]["crypto"] == ("fail" if status == "Revoked" else "pass")
    ours = troth("verify", "--case", tmp_path / "case")
    assert ours.returncode == 0, ours.stdout + ours.stderr


def test_debug_is_authentic_and_refused_by_the_default_policy(tmp_path):
    for kind in KINDS:
        made = troth("simulate", tmp_path / kind, "--kind", kind, "--debug")
        assert made.returncode == 0, made.stderr
        expected = json.loads((tmp_path / kind / "case.json").read_text())["expected"]
        assert expected["crypto"] == "pass" and expected["default_policy"] == ["reject: DEBUG"]
        ours = troth("verify", "--case", tmp_path / kind)
        assert ours.returncode == 0, ours.stdout + ours.stderr


def test_a_seed_is_a_vendor(tmp_path):
    roots = set()
    for name in "ab":
        made = troth("simulate", tmp_path / name, "--root-seed", tmp_path / "seed", "--json")
        assert made.returncode == 0, made.stderr
        roots.add(json.loads(made.stdout)["root_spki_sha256"])
    other = json.loads(troth("simulate", tmp_path / "c", "--json").stdout)["root_spki_sha256"]
    assert len(roots) == 1 and other not in roots
    assert (tmp_path / "seed").stat().st_mode & 0o777 == 0o600
