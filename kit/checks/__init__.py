"""The conventions, checked: what ruff, mypy and pre-commit's own hooks cannot know.

rule        what a rule is, and what it finds
tree        the project as files, each read and parsed once
registry    which rules there are, and which of them are wanted
rules/      one rule a file
"""
