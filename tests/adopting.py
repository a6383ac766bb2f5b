"""Minimal repositories of the shapes that `kit init` meets, none of which knows kit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conftest import git, write

__all__ = ["SHAPES", "repository"]

_SHOWN = """
    import json


    def show(**values):
        print(json.dumps({name: str(value) for name, value in sorted(values.items())}))
    """

SHAPES: dict[str, dict[str, Any]] = {
    "argparse: a main that parses": {
        "train.py": """
            import argparse
            from shown import show

            def main():
                parser = argparse.ArgumentParser(description="Learn")
                parser.add_argument("--batch-size", type=int, default=64, help="rows (default: %(default)s)")
                parser.add_argument("--lr", type=float, default=1.0, help="how fast, 100%%")
                parser.add_argument("--no-cuda", action="store_true", default=False)
                parser.add_argument("--plain", action="store_false", dest="fancy")
                parser.add_argument("--cache", action=argparse.BooleanOptionalAction, default=True)
                parser.add_argument("--tiny", default=1e-5)
                parser.add_argument("--load", type=str, default=False)
                parser.add_argument("--checked", type=bool, default=False)
                parser.add_argument("--layers", type=int, nargs="+", default=[32, 16])
                parser.add_argument("--tag", action="append")
                parser.add_argument("--resume", type=str, default=None)
                parser.add_argument("-v", "--verbose", action="count", default=0)
                parser.add_argument("-n", type=int, default=-3)
                parser.add_argument("--size", type=int, default=2**10)
                parser.add_argument("--optimizer", choices=["sgd", "adam"], default="adam")
                parser.add_argument("--name", default="it's \\"it\\", ${x}: 50%")
                parser.add_argument("--lambda", type=float, default=0.5)
                parser.add_argument("data", nargs="?", default="data/x.csv")
                show(**vars(parser.parse_args()))

            if __name__ == "__main__":
                main()
            """
    },
    "argparse: a function of a namespace": {
        "main.py": """
            import argparse
            from shown import show

            def get_args():
                parser = argparse.ArgumentParser()
                parser.add_argument("--epochs", type=int, default=2, help="rounds")
                parser.add_argument("--rate", default=0.25)
                parser.add_argument("--task", default="binary")
                return parser.parse_args()

            def train(args):
                args.device = "cpu"
                show(**vars(args))
                return {"loss": args.rate * 2, "model": "a text"}

            if __name__ == "__main__":
                args = get_args()
                train(args)
            """
    },
    "argparse: a main that takes a command line": {
        "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n',
        "src/shop/__init__.py": "",
        "src/shop/shown.py": _SHOWN,
        "src/shop/cli.py": """
            import argparse
            import sys
            from shop.shown import show

            def main(argv: list[str] | None = None) -> int:
                parser = argparse.ArgumentParser()
                parser.add_argument("--depth", type=int, default=3)
                show(**vars(parser.parse_args(argv)))
                return 0

            if __name__ == "__main__":
                sys.exit(main())
            """,
        "entry": "src/shop/cli.py",
    },
    "argparse: all at the top level": {
        "scripts/train.py": """
            import argparse
            import sys
            from helper import show

            parser = argparse.ArgumentParser()
            parser.add_argument("--steps", type=int, default=5)
            parser.add_argument("--mode", type=lambda text: text.upper(), default="fast")
            args = parser.parse_args()
            for step in range(1):
                show(**vars(args))
            sys.exit(0)
            """,
        "scripts/helper.py": _SHOWN,
    },
    "argparse: a package whose files import each other by their bare names": {
        "style/__init__.py": "",
        "style/shown.py": _SHOWN,
        "style/train.py": """
            import argparse
            from shown import show

            def main():
                parser = argparse.ArgumentParser()
                parser.add_argument("--width", type=int, default=8)
                show(**vars(parser.parse_args()))

            if __name__ == "__main__":
                main()
            """,
    },
    "argparse: options in another file": {
        "train.py": """
            from options import get_options
            from shown import show

            if __name__ == "__main__":
                options = get_options()
                show(**vars(options))
            """,
        "options.py": """
            import argparse

            def get_options():
                parser = argparse.ArgumentParser()
                group = parser.add_argument_group("model")
                group.add_argument("--width", type=int, default=8)
                return parser.parse_args()
            """,
    },
    "click: plain types": {
        "pyproject.toml": '[tool.poetry]\nname = "clicked"\n',
        "clicked/__init__.py": "",
        "clicked/shown.py": _SHOWN,
        "clicked/train.py": """
            import click
            from clicked.shown import show

            @click.command()
            @click.option("--lr", default=0.1, show_default=True, help="how fast")
            @click.option("--epochs", "-e", type=int, default=3)
            @click.option("--kind", type=click.Choice(["a", "b"]), default="b")
            @click.option("--fast/--slow", default=False)
            @click.option("--layer", "layers", type=int, multiple=True, default=(4, 2))
            @click.option("--out", type=click.Path(), default=None)
            def main(lr, epochs, kind, fast, layers, out):
                show(lr=lr, epochs=epochs, kind=kind, fast=fast, layers=list(layers), out=out)

            if __name__ == "__main__":
                main()
            """,
        "entry": "-m clicked.train",
    },
    "click: types that click converts": {
        "train.py": """
            import pathlib
            import click
            from shown import show

            @click.command()
            @click.pass_context
            @click.option("--out", type=click.Path(path_type=pathlib.Path), default="models/x")
            @click.option("--dry-run", "-n", is_flag=True)
            def main(ctx, **options):
                show(command=ctx.info_name is not None, **options)

            if __name__ == "__main__":
                main()
            """
    },
    "typer": {
        "train.py": """
            from pathlib import Path
            from typing import Annotated, Optional
            import typer
            from shown import show

            app = typer.Typer()

            @app.command()
            def main(
                data: Path = Path("data/raw.csv"),
                lr: float = typer.Option(0.5, help="how fast"),
                epochs: Annotated[int, typer.Option(help="rounds")] = 2,
                resume: Optional[str] = None,
                fast: bool = True,
            ):
                show(data=data, lr=lr, epochs=epochs, resume=resume, fast=fast)

            if __name__ == "__main__":
                app()
            """
    },
    "typer: a default that only it knows": {
        "train.py": """
            import os
            from pathlib import Path
            import typer
            from shown import show

            ROOT = Path(os.path.abspath("."))
            app = typer.Typer()

            @app.command()
            def train(out: Path = typer.Option(ROOT / "out"), lr: float = 0.5):
                show(out=out.name, lr=lr)

            @app.command()
            def other(x: int = 1):
                pass

            if __name__ == "__main__":
                app()
            """,
        "arguments": ["train"],
    },
    "a plain function": {
        "train.py": '''
            import os
            from shown import show

            def train(lr: float = 0.1, epochs: int = 4, name="small", where=os.sep, hidden: tuple[int, ...] = (8, 4)):
                """Learn.

                Args:
                    lr: How fast.
                """
                show(lr=lr, epochs=epochs, name=name, where=where, hidden=list(hidden))
                return {"loss": 0.5, "note": "a text"}

            if __name__ == "__main__":
                train()
            '''
    },
    "a script that reads sys.argv": {
        "train.py": """
            import sys
            from shown import show

            def main():
                show(words=sys.argv[1:])

            if __name__ == "__main__":
                main()
            """
    },
    "a script": {
        "train.py": """
            from shown import show

            lr = 0.1
            for epoch in range(1):
                show(lr=lr)
            """
    },
    "hydra": {
        "run.py": """
            import hydra
            from omegaconf import DictConfig
            from shown import show

            @hydra.main(version_base="1.3", config_path="configs", config_name="main")
            def main(cfg: DictConfig) -> float:
                show(lr=cfg.model.lr, steps=cfg.steps)
                return cfg.model.lr

            if __name__ == "__main__":
                main()
            """,
        "configs/main.yaml": "defaults:\n  - model: small\n  - _self_\nsteps: 2\n",
        "configs/model/small.yaml": "lr: 0.5\n",
        "arguments": ["hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=none"],
    },
}
"""Files by name. `entry` is what `python` is given if that is not the only script, `arguments` what behind it."""


def repository(root: Path, files: dict[str, Any]) -> Path:
    """Commit the files, and what they print their options with."""
    own = {name: text for name, text in files.items() if name not in {"entry", "arguments"}}
    write(root, {"shown.py": _SHOWN, ".gitignore": "__pycache__/\n"} | own)
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "start")
    return root
