"""`kit init`: an existing repository becomes a project, by files that are shown before they are written."""

from __future__ import annotations

from kit.adopt.apply import apply
from kit.adopt.model import Change, Entry, Option, Proposal, Survey
from kit.adopt.propose import propose

__all__ = ["Change", "Entry", "Option", "Proposal", "Survey", "apply", "propose"]
