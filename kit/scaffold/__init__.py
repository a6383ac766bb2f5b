"""Start a project from the template: check every answer, generate, put in place, then set up.

`new` is the service. Around it: `template` (what the template asks), `answers` (what may be answered),
`render` (cookiecutter, kept apart), `place` (all of it or nothing), `effects` (git, DVC, lock, install,
hooks, first commit) and `source` (where kit itself came from).

`update` brings a newer template, or other answers, into a project; `state` is what the project says of its template,
`merge` is git's part of it.
"""

from __future__ import annotations

__all__: list[str] = []
