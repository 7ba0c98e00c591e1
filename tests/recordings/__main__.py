"""Recordings by hand: python -m tests.recordings take [NAME…] | verdicts | show CONTROL"""

from __future__ import annotations

import argparse
import sys

from tests.recordings import book, privileges


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.recordings", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    take = actions.add_parser("take", help="retake from live hosts (root on Debian); all or some")
    take.add_argument("names", nargs="*")
    actions.add_parser("verdicts", help="judge all, write verdicts.yaml and privileges.yaml")
    show = actions.add_parser("show", help="what one control says of every recording, and why")
    show.add_argument("control")
    given = parser.parse_args()
    if given.action == "take":
        from tests.recordings.take import take_all

        take_all(given.names)
    elif given.action == "show":
        for entry in book.index().values():
            for verdict in entry.judged():
                if verdict.control == given.control:
                    print(f"{entry.name:14} {verdict.status:14} {verdict.reason}")
    else:
        before, after = book.committed(), book.statuses(book.index().values())
        book.write(after)
        privileges.write(privileges.measured())
        print("\n".join(book.changes(before, after)) or "nothing changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
