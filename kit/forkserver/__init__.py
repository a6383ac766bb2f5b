"""Processes that begin with their libraries imported: forked from one that has them, and else as if started anew.

A project has one such server for each environment it is used with. `kit run` asks it for a process that is the command,
that command for one that is the run's supervisor, and the supervisor forks the run itself. Whatever does not fit, an
environment that was changed or a server that is not there, is told to who asks, who starts an interpreter as ever.

Nothing is imported here: what a command does before it has found its server is all that it costs.
"""

from __future__ import annotations

__all__: list[str] = []
