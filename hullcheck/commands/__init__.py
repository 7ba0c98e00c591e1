"""The commands of ``hullcheck``, one module each.

A module has ``declare``, which makes the command's parser, and the function that runs it: it
returns the exit code, and raises :class:`~hullcheck.run.options.UsageError` for what a person
has to put right.
"""
