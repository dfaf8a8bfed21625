"""`triptych train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from triptych.cli.options import DEVICE, FILE, JSON, MAX_MINUTES, debuggable, show


@click.command()
@click.argument("recipe_name", metavar="STUDY/RECIPE")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a field of the recipe."
)
@click.option("--seed", default=0, show_default=True)
@click.option("--out", type=FILE, help="Run folder.  [default: runs/STUDY-RECIPE/seed-N]")
@MAX_MINUTES
@DEVICE
@JSON
@debuggable
def train(
    recipe_name: str,
    settings: Sequence[str],
    seed: int,
    out: Path | None,
    max_minutes: float | None,
    device: str,
    as_json: bool,
) -> None:
    """Train a recipe; the same command goes on where it stopped. `triptych train list` names them.

    The recipe's fields can be changed: --set epochs=20 --set lr=1e-3.
    """
    from triptych import recipe as recipes

    if recipe_name == "list":
        listed = {name: recipes.describe(name) for name in recipes.names()}
        show(listed, as_json, lambda r: "\n".join(f"{k}\n    {v.strip()}" for k, v in r.items()))
        return
    recipe = recipes.override(recipes.get(recipe_name), settings)
    folder = out or Path("runs") / recipe.name.replace("/", "-") / f"seed-{seed}"
    from triptych import study
    from triptych.stopping import StopRequest

    stop = StopRequest(max_minutes)
    result = study.get(recipe.study).train(recipe, seed, folder, device=device, stop=stop)
    show({"run": str(folder), **result}, as_json, study.describe_result)
