"""Keep a fleet up for a person to try: python -m tests.fleet 100 [RECORDING]"""

from __future__ import annotations

import argparse
import signal
import tempfile
from pathlib import Path

from tests.fleet.fleet import Fleet, Member


def main() -> None:
    """Start it, say how to audit it, wait for Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__)
    parser.add_argument("hosts", type=int, help="how many")
    parser.add_argument("recording", nargs="?", default="plain", help="what they answer from")
    options = parser.parse_args()
    members = {f"h{n:04}": Member(options.recording) for n in range(1, options.hosts + 1)}
    with tempfile.TemporaryDirectory() as folder, Fleet(Path(folder), members) as fleet:
        print(f"hullcheck audit -i {fleet.inventory}\nssh -F {fleet.ssh_config} h0001 'uname -r'")
        try:
            signal.pause()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
