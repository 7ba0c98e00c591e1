"""Makes reports/sample, a signed run of three recorded hosts: python -m tests.recordings.sample

It is made anew when controls change; its key is made for it and thrown away.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hullcheck.cli import main as hullcheck
from tests.recordings.book import HERE

REPORTS = HERE.parents[1] / "reports"
SAMPLE, SIGNERS = REPORTS / "sample", REPORTS / "sample.signers"
HOSTS = ("plain", "sound", "rotten")

POLICY = """\
trusted_users: [root]
published_ports: [8080]
listening_ports: [22, 2222, 8080, 20022]
router_advertisements: false
"""
WAIVERS = """\
- control: runtime.read-only-root
  host: plain
  object: web
  reason: The application writes beside its program until release 4.
  owner: alice@example.com
  expires: 2027-06-30
  ticket: OPS-1234
"""
ATTESTATIONS = """\
- control: engine.warnings
  host: plain
  answer: pass
  reason: The warnings are of the test machine's kernel, which has no limits of its own.
  by: bob@example.com
  when: 2026-11-20
  expires: 2027-05-20
"""


def main() -> int:
    shutil.rmtree(SAMPLE, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        key = place / "key"
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sample", "-f", str(key)]
        subprocess.run(argv, check=True)
        files = {"policy": POLICY, "waivers": WAIVERS, "attestations": ATTESTATIONS}
        options = []
        for option, text in files.items():
            (place / option).write_text(text)
            options += [f"--{option}", str(place / option)]
        public = key.with_suffix(".pub").read_text().split()[:2]
        SIGNERS.write_text(f'auditor@example.com namespaces="hullcheck" {" ".join(public)}\n')
        specs = [f"recording://{HERE / host}.jsonl.gz" for host in HOSTS]
        return hullcheck(
            ["audit", *specs, *options, "--report", "html", "--sign", str(key), "--report-dir",
             str(SAMPLE)]
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(0 if main() == 1 else 1)
