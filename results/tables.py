"""Writes what is made of the records beside this file: their own pages (README.md, all but the
machines, which only the runs knew), docs/results.md, and the table of results in README.md.

python results/tables.py            writes all
python results/tables.py --check    ends with 1 where they are not what it would write
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from triptych.report.readme import readme
from triptych.report.sentences import further_sentences, verdict_sentence
from triptych.report.tables import arms_of, arms_table, is_fixed, planned_scores
from triptych.report.words import escape, score, setting, signed, spread

HERE = Path(__file__).parent
README, PAGE = HERE.parent / "README.md", HERE.parent / "docs/results.md"
BEGIN, END = "<!-- results/tables.py writes from here -->\n", "<!-- to here -->\n"
SHORT = {"better": "better than", "worse": "worse than", "equivalent": "equivalent to"}
MACHINE = "## Machine and data\n"
MOST_ARMS = 4
"""In the README's table; the record has all."""


def records() -> list[tuple[str, dict[str, Any]]]:
    """Name and verdict of every record, by study."""
    found = [
        (file.parent.name, json.loads(file.read_text(encoding="utf-8")))
        for file in HERE.glob("*/verdict.json")
    ]
    return sorted(found, key=lambda record: (record[1]["study"], record[0]))


def page() -> str:
    parts = [
        "# Results",
        "Made by `python results/tables.py` from the records in [results](../results), which were "
        "written by `triptych compare … --record`. What was measured beside them, failures too: "
        "[log.md](log.md).",
    ]
    for name, verdict in records():
        lines = [escape(verdict_sentence(verdict, pair)) for pair in verdict["pairs"]]
        lines += map(escape, further_sentences(verdict))
        figure = f"../results/{name}/verdict.svg"
        parts += [
            f"## {escape(verdict['question'])}",
            setting(verdict, escape),
            "\n".join(f"- {line}" for line in lines),
            f"![Every pair's difference with its interval]({figure})",
            arms_table(verdict).to_markdown().rstrip(),
            f"The whole record, with audit, cost and figures: [results/{name}](../results/{name}).",
        ]
    return "\n\n".join(parts) + "\n"


def record_page(name: str, verdict: dict[str, Any]) -> str:
    """A record's page as it is written now, of a verdict that may be older."""
    folder = HERE / name
    written = (folder / "README.md").read_text(encoding="utf-8")
    figures = sorted(path.name for path in folder.glob("*.svg"))
    page = readme(verdict, [], [], figures).partition(MACHINE)[0].rstrip("\n")
    _, heading, machine = written.partition(MACHINE)
    return f"{page}\n\n{heading}{machine}" if heading else f"{page}\n"


def table() -> str:
    lines = ["| question | measured on | arms | what came out |", "| --- | --- | --- | --- |"]
    for name, verdict in records():
        cells = (
            f"[{escape(verdict['question'])}](results/{name})",
            escape(f"{verdict['data']}, {verdict['metric']}"),
            _arms(verdict),
            _outcome(verdict),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _arms(verdict: dict[str, Any]) -> str:
    names = arms_of(verdict)
    shown = [f"{escape(name)} {_score(verdict, name)}" for name in names[:MOST_ARMS]]
    left = len(names) - len(shown)
    return "<br>".join([*shown, *([f"and {left} more"] if left else [])])


def _score(verdict: dict[str, Any], name: str) -> str:
    if is_fixed(verdict):
        return score(verdict["arms"][name]["score"])
    return spread(planned_scores(verdict, name))


def _outcome(verdict: dict[str, Any]) -> str:
    """Decided pairs by name, the rest as a number."""
    if is_fixed(verdict):
        ends = [
            f"{pair['arm']} against {pair['baseline']}: {signed(pair['difference'])}"
            for pair in verdict["pairs"]
        ]
        return "<br>".join(["described, not judged", *map(escape, ends)])
    decided = [
        f"{escape(pair['arm'])} **{SHORT[pair['verdict']]}** {escape(pair['baseline'])}"
        for pair in verdict["pairs"]
        if pair["verdict"] in SHORT
    ]
    open_ = len(verdict["pairs"]) - len(decided)
    if open_:
        decided.append("undecided" if not decided and open_ == 1 else f"{open_} undecided")
    return "<br>".join(decided)


def with_table(text: str) -> str:
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return before + BEGIN + table() + END + after


def main(check: bool) -> int:
    text = README.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        print(f"{README.name} lacks the two lines between which the table belongs", file=sys.stderr)
        return 1
    stale = 0
    pages = [(HERE / name / README.name, record_page(name, of)) for name, of in records()]
    for file, wanted in ((PAGE, page()), (README, with_table(text)), *pages):
        if file.is_file() and file.read_text(encoding="utf-8") == wanted:
            continue
        if check:
            where = file.relative_to(HERE.parent)
            print(f"{where} is not what results/tables.py writes: run it", file=sys.stderr)
            stale = 1
        else:
            file.write_text(wanted, encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
