"""Questions of the template, put to whoever sits at the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from kit.scaffold.answers import Answer, Ask
    from kit.scaffold.template import Question

__all__ = ["asker"]


def asker(out: Console) -> Ask:
    """A function that asks one question, again and again until the answer is one of the choices."""
    from rich.prompt import Prompt
    from rich.text import Text

    from kit.scaffold.answers import check_answer

    def ask(question: Question, default: Answer) -> Answer:
        for choice, label in zip(question.choices, question.labels, strict=True):
            out.print(Text(f"  {label}" if label.startswith(choice) else f"  {choice}: {label}", style="dim"))
        while True:
            answer = Prompt.ask(
                Text(question.prompt), console=out, choices=list(question.choices) or None, default=str(default)
            )
            try:
                return check_answer(question, answer, where="answer")
            except UserError as error:
                out.print(Text(str(error), style="red"), soft_wrap=True)

    return ask
