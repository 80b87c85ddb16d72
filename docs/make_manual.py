"""Makes the manual's pages, one per axis, from the docstrings of what is registered.

Run: python docs/make_manual.py
"""

import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from multimargin.recipes.entries import KINDS, Entry, entries

HERE = Path(__file__).parent
AXIS = {"losses": "loss", "negatives": "negatives", "encoders": "encoder"}
TITLES = {"losses": "Losses", "negatives": "Negative samplers", "encoders": "Encoders"}
NEEDED = {
    "losses": "In training each is handed what it needs; in a loop of your own you hand it over as keywords. *Scores* "
    "are those of positives and negatives; *counts* and *training pairs* are taken once, by `prepare`; *all vectors* "
    "when an epoch begins.",
    "negatives": "*Counts* and *training pairs* are taken once, by `build`; *scores* are the model's at the step that "
    "draws; *all vectors* are handed over when an epoch begins. What users have seen is known to all.",
    "encoders": "Interactions are what all of them have. Those without training stand alone in a recipe: no "
    "loss, no negatives, nothing of training.",
}
HEADINGS = ("Args", "Raises", "Relations", "Source", "Differs")


def page(kind: str) -> str:
    """Return the page of an axis."""
    found = entries(kind)
    families = list(dict.fromkeys(entry.family for entry in found))
    found.sort(key=lambda entry: families.index(entry.family))
    name = found[0].name
    lines = [
        f"# {TITLES[kind]}",
        "",
        "<!-- Made by docs/make_manual.py from docstrings: change those, and run it. -->",
        "",
        f"In a recipe `{AXIS[kind]}: {{name: {name}}}`, on the command line `{AXIS[kind]}={name}`, in Python "
        f"`mm.{found[0].entry.__name__}()`. `multimargin list {kind}` prints this list; one of your own is "
        f"`{AXIS[kind]}=package.module:Class`.",
        "",
        NEEDED[kind],
        "",
        "## What to use",
    ]
    for family, members in groupby(found, key=lambda entry: entry.family):
        lines += ["", f"### {family.capitalize() or 'Others'}", ""]
        lines += table(("what you have", "what to use", "what it does", "what it needs"), map(row, members))
    lines += ["", "## Details"]
    for entry in found:
        lines += ["", *details(entry)]
    return "\n".join(lines) + "\n"


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return a table in Markdown."""
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {' | '.join(cells)} |" for cells in rows)]


def row(entry: Entry) -> tuple[str, str, str, str]:
    """Return a line of the table of what to use."""
    return entry.use or "-", f"[`{entry.name}`](#{entry.name})", entry.summary, needs(entry)


def needs(entry: Entry) -> str:
    """Return what it needs, in words."""
    return ", ".join(entry.needs) or "-"


def details(entry: Entry) -> list[str]:
    """Return everything that its docstring says."""
    lines = [f"### {entry.name}", "", f"`{entry.entry.__name__}`. {entry.summary}."]
    lines += ["", f"Also known as {entry.aliases}."] if entry.aliases else []
    for block in entry.sections[""].split("\n\n")[1:]:
        lines += ["", *paragraph(block)]
    lines += ["", f"**Needs** {needs(entry)}."] if entry.needs else []
    for heading in HEADINGS:
        if text := entry.sections.get(heading):
            lines += ["", f"**{heading}**", "", *(arguments(text) if heading == "Args" else [inline(text)])]
    return [*lines, "", "```python", *entry.sections["Example"].splitlines(), "```"]


def paragraph(block: str) -> list[str]:
    """Return text, or a formula as one: what follows a formula without an empty line belongs to it."""
    if not block.startswith(".. math::"):
        return [inline(block)]
    return ["```math", *(line.strip() for line in block.removeprefix(".. math::").strip().splitlines()), "```"]


def arguments(text: str) -> list[str]:
    """Return arguments as a list."""
    return ["- " + inline(re.sub(r"^(\w+): ", r"``\1``: ", item)) for item in re.split(r"\n(?=\w+: )", text)]


def inline(text: str) -> str:
    """Return a paragraph on one line, its code and formulas as Markdown has them."""
    text = " ".join(text.split())
    text = re.sub(r":math:`([^`]*)`", r"$`\1`$", text)
    return text.replace("``", "`")


if __name__ == "__main__":
    for kind in KINDS:
        (HERE / f"{kind}.md").write_text(page(kind), encoding="utf-8")
