"""`triptych train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from triptych.cli.engine import cluster_of
from triptych.cli.options import (
    ADDRESS,
    DEVICE,
    ENGINE,
    FILE,
    JSON,
    MAX_MINUTES,
    debuggable,
    show,
)
from triptych.errors import UserError


@click.command()
@click.argument("recipe_name", metavar="STUDY/RECIPE")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a field of the recipe."
)
@click.option("--seed", default=0, show_default=True)
@click.option("--out", type=FILE, help="Run folder.  [default: runs/STUDY-RECIPE/seed-N]")
@click.option("--status", is_flag=True, help="Say how a population's members stand; run nothing.")
@MAX_MINUTES
@DEVICE
@ENGINE
@ADDRESS
@JSON
@debuggable
def train(
    recipe_name: str,
    settings: Sequence[str],
    seed: int,
    out: Path | None,
    status: bool,
    max_minutes: float | None,
    device: str,
    engine: str,
    address: str | None,
    as_json: bool,
) -> None:
    """Train a recipe; the same command goes on where it stopped. `triptych train list` names them.

    The recipe's fields can be changed: --set epochs=20 --set lr=1e-3. With `--engine ray` the
    members of a population (classify/…-pbt) train side by side on a cluster.
    """
    from triptych import recipe as recipes

    if recipe_name == "list":
        listed = {name: recipes.describe(name) for name in recipes.names()}
        show(listed, as_json, lambda r: "\n".join(f"{k}\n    {v.strip()}" for k, v in r.items()))
        return
    recipe = recipes.override(recipes.get(recipe_name), settings)
    folder = out or Path("runs") / recipe.name.replace("/", "-") / f"seed-{seed}"
    if status:
        from triptych.population.standing import as_text, standing

        show({"run": str(folder), **standing(folder)}, as_json, as_text)
        return
    from triptych import study
    from triptych.stopping import StopRequest

    stop, found = StopRequest(max_minutes), study.get(recipe.study)
    over = found.over(recipe)
    if engine != "local" and over is None:
        raise UserError(
            f"--engine {engine} trains the members of a population side by side, and {recipe.name} "
            "is one model: leave it out, or name a population (classify/…-pbt)"
        )
    with cluster_of(engine, address) as cluster:
        if cluster is None or over is None:
            result = found.train(recipe, seed, folder, device=device, stop=stop)
        else:
            result = over(recipe, seed, folder, cluster=cluster, device=device, stop=stop)
    if (folder / "lineage.jsonl").exists():
        from triptych.report.population import write_figures

        write_figures(folder)
    show({"run": str(folder), **result}, as_json, study.describe_result)
