"""The report of a comparison: one HTML file, without scripts, that needs nothing else; for the screen and for paper."""

import html
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from multimargin import __version__
from multimargin.experiments.tables import about, sections, title

if TYPE_CHECKING:
    from multimargin.experiments.figures import Drawing
    from multimargin.experiments.results import Comparison

_LOG = logging.getLogger("multimargin")

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: #1a1a1a; background: #fff;
       max-width: 68rem; margin: 0 auto; padding: 1.5rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
p { max-width: 50rem; }
.protocol { display: inline-block; border: 1px solid; border-radius: .3rem; padding: .1rem .6rem; font-weight: 600; }
.honest { color: #00573f; } .paper { color: #8a3800; }
.caption, .below { color: #444; font-size: .9rem; margin: .3rem 0 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #ddd; text-align: right; }
th { border-bottom: 2px solid #888; vertical-align: bottom; font-weight: 600; }
td { white-space: nowrap; }
th:first-child, td:first-child, .text { text-align: left; }
td.text { white-space: normal; }
svg.figure { width: 100%; height: auto; max-width: 62rem; display: block; }
figure { margin: 0; }
pre { background: #f4f4f4; padding: .7rem 1rem; overflow-x: auto; font-size: .85rem; white-space: pre-wrap; }
details { margin: .4rem 0; } summary { cursor: pointer; }
@media print {
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  figure, .block { break-inside: avoid; }
  h2 { break-after: avoid; }
  table { font-size: 7pt; } th, td { padding: .15rem .3rem; }
  .wide { overflow: visible; }
  .caption, .below, pre { font-size: 8.5pt; }
  .screen { display: none; }
}
"""


def html_report(comparison: "Comparison", *, command: str | None = None) -> str:
    """Return the page. Without matplotlib it has the tables, and says what is missing."""
    word = comparison.protocol
    parts = [
        f"<h1>{_text(title(comparison))}</h1>",
        f'<p><span class="protocol {word}">protocol: {word}</span></p>',
        *(f"<p>{_text(note)}</p>" for note in comparison.notes[:1]),
        f"<p>{_bold(about(comparison))}</p>",
    ]
    for heading, headings, rows, below in sections(comparison):
        parts += [
            f'<section class="block"><h2>{_text(heading)}</h2>',
            _table(headings, rows),
            f'<p class="below">{_text(below)}</p></section>',
        ]
    for drawing in _drawings(comparison):
        parts += [
            f"<figure><h2>{_text(drawing.heading)}</h2>",
            drawing.svg.replace("<svg", f'<svg role="img" aria-label="{_text(drawing.heading)}"', 1),
            f'<figcaption class="caption">{_text(drawing.caption)}</figcaption></figure>',
        ]
    if not any(part.startswith("<figure") for part in parts):
        parts.append("<p>Figures need matplotlib: pip install 'multimargin[plots]', then the same command again.</p>")
    if len(comparison.notes) > 1:
        parts.append(
            "<h2>Notes</h2><ul>" + "".join(f"<li>{_text(note)}</li>" for note in comparison.notes[1:]) + "</ul>"
        )
    parts.append('<section class="screen"><h2>Recipes</h2>')
    for method, recipe in comparison.recipes.items():
        yaml = "\n".join(line for line in recipe.to_yaml().splitlines() if not line.startswith(("#", "seed:")))
        parts.append(f"<details><summary>{_text(method)}</summary><pre>{_text(yaml)}</pre></details>")
    parts.append("</section>")
    if command is not None:
        parts.append(f"<h2>Made by</h2><pre>{_text(command)}</pre>")
    parts.append(f'<p class="below">{_text(_made_with(comparison))}</p>')
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title(comparison))}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _drawings(comparison: "Comparison") -> "list[Drawing]":
    from multimargin.experiments.figures import draw_all

    try:
        return draw_all(comparison)
    except ImportError:
        _LOG.warning("the report has no figures without matplotlib; get it with: pip install 'multimargin[plots]'")
        return []


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = {place for place, heading in enumerate(headings) if heading in ("first", "second", "better")}
    head = "".join(
        f'<th class="text">{_text(heading)}</th>' if place in text else f"<th>{_text(heading)}</th>"
        for place, heading in enumerate(headings)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="text">{_bold(cell)}</td>' if place in text else f"<td>{_bold(cell)}</td>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _made_with(comparison: "Comparison") -> str:
    info = next(iter(comparison.runs.values())).info()
    hardware = info.get("hardware", {})
    return (
        f"multimargin {__version__}; {hardware.get('processor', 'unknown processor')}, {hardware.get('cores')} cores, "
        f"threads of a run: {info.get('threads')}; data {comparison.settings['data_hash'][:12]}, "
        f"split {comparison.settings['split_hash'][:12]}."
    )


def _text(text: str) -> str:
    return html.escape(text)


def _bold(text: str) -> str:
    """Return text with what Markdown calls bold."""
    pieces = _text(text).split("**")
    return "".join(f"<b>{piece}</b>" if place % 2 else piece for place, piece in enumerate(pieces))
