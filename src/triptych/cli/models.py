"""`triptych models` and `triptych weights`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from triptych.cli.options import JSON, debuggable, show


@click.command()
@click.option(
    "--near",
    metavar="BUDGET",
    help="List classifiers within 2 % of a budget instead, such as 4.9M or 0.5GMACs.",
)
@JSON
@debuggable
def models(near: str | None, as_json: bool) -> None:
    """List the models: parameters, cost, published weights, licence, claimed score."""
    from triptych import model_listing

    if near is not None:
        show(model_listing.near(near), as_json, model_listing.describe_near)
        return
    show(model_listing.records(), as_json, model_listing.describe)


@click.group()
def weights() -> None:
    """Published weights: list them, fetch them."""


@weights.command("list")
@JSON
@debuggable
def weights_list(as_json: bool) -> None:
    """List published weights: address, licence, and whether they are here."""
    from triptych import weight_listing

    show(weight_listing.records(), as_json, weight_listing.describe)


@weights.command("fetch")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@JSON
@debuggable
def weights_fetch(models: Sequence[str], as_json: bool) -> None:
    """Download published weights: resumed where broken off, checked by sha256."""
    from triptych.weight_listing import published
    from triptych.weights import fetch

    wanted = {name: published(name) for name in models}
    files = {name: str(fetch(each)) for name, each in wanted.items()}
    show(files, as_json, lambda r: "\n".join(f"{k}: {v}" for k, v in r.items()))
