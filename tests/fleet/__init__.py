"""A fleet in one process: an SSH server on many loopback addresses that answers from recordings.

Each host of :class:`tests.fleet.fleet.Fleet` has an address of its own, a recording that it
answers from, and, if a test wants, a fault. ``python -m tests.fleet`` keeps one up by hand.

Commands are not run: a script of ours is read as the shell would read it, and every command is
looked up in the recording. What the recording lacks is answered as by a host without that
program. Running the commands instead would cost seconds of CPU a host, and answer as this
machine does.
"""
