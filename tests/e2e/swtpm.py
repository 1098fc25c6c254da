# SPDX-License-Identifier: Apache-2.0
"""A TPM 2.0 in software (swtpm), made by a maker who certifies its endorsement key; tpm2-tools is what else uses it."""

import shutil
import signal
import socket
import subprocess
import time

from cryptography import x509

TOOLS = ("swtpm", "swtpm_setup", "tpm2_pcrextend")


def missing():
    return [t for t in TOOLS if not shutil.which(t)]


def listens(path):
    """A socket's file is there before anybody listens."""
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(str(path)) == 0


class Swtpm:
    """On from the start. off() and on() are the machine's switch."""

    def __init__(self, folder, certified=True):
        self.folder = folder
        self.folder.mkdir()
        self.state = folder / "tpm"
        self.state.mkdir()
        self.socket = folder / "sock"
        self.tcti = f"swtpm:path={self.socket}"
        self.process = None
        if certified:
            self.manufacture()
        self.on()

    def manufacture(self):
        d = self.folder
        (d / "ca.conf").write_text(f"statedir = {d}\nsigningkey = {d}/sign.pem\nissuercert = {d}/issuer.pem\ncertserial = {d}/serial\n")
        (d / "options").write_text("--platform-manufacturer Troth\n--platform-version 1\n--platform-model test\n")
        (d / "setup.conf").write_text(f"create_certs_tool = {shutil.which('swtpm_localca')}\ncreate_certs_tool_config = {d}/ca.conf\n"
                                      f"create_certs_tool_options = {d}/options\nactive_pcr_banks = sha256\n")
        subprocess.run(["swtpm_setup", "--tpm2", "--tpmstate", str(self.state), "--create-ek-cert", "--config", str(d / "setup.conf")],
                       check=True, capture_output=True, timeout=60)

    def certificate(self, name):
        return x509.load_pem_x509_certificate((self.folder / name).read_bytes())

    def on(self):
        args = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.state}", "--server", f"type=unixio,path={self.socket}",
                "--ctrl", f"type=unixio,path={self.socket}.ctrl", "--flags", "not-need-init,startup-clear"]
        self.process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while not (listens(self.socket) and listens(f"{self.socket}.ctrl")):
            assert time.monotonic() < end and self.process.poll() is None, "swtpm did not start"
            time.sleep(0.01)

    def off(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)
        self.socket.unlink(missing_ok=True)

    def extend(self, pcr, digest):
        subprocess.run(["tpm2_pcrextend", "-T", self.tcti, f"{pcr}:sha256={digest.hex()}"], check=True, capture_output=True, timeout=20)
