"""A small page of headings, lines, code and tables, as HTML and as plain text.

Every state is a word ("right", "wrong"), never a colour or a mark alone, and the HTML has the roles
that a screen reader goes by.
"""

import html
from collections.abc import Iterable
from dataclasses import dataclass, field

from cinv_lib.plots.style import OKABE_ITO

COLOURS = {"right": OKABE_ITO["green"], "wrong": OKABE_ITO["vermilion"], "todo": OKABE_ITO["blue"]}


@dataclass
class Page:
    """Shown by IPython as HTML, or as its plain text where there is none.

    state: "right", "wrong" or "todo" colours the edge; the title says it in words.
    """

    title: str
    state: str = "todo"
    html_parts: list[str] = field(default_factory=list)
    text_parts: list[str] = field(default_factory=list)

    def line(self, text: str, strong: str = "") -> "Page":
        """A line of text, begun by a strong word."""
        lead = f"<b>{html.escape(strong)}</b> " if strong else ""
        self.html_parts.append(f'<p style="margin: .3em 0">{lead}{_inline(text)}</p>')
        self.text_parts.append(f"{strong} {text}".strip())
        return self

    def items(self, lines: Iterable[str]) -> "Page":
        """A list."""
        lines = list(lines)
        if not lines:  # a screen reader would announce an empty list
            return self
        items = "".join(f"<li>{_inline(line)}</li>" for line in lines)
        self.html_parts.append(f'<ul style="margin: .3em 0">{items}</ul>')
        self.text_parts += [f"  - {line}" for line in lines]
        return self

    def folded(self, summary: str, text: str = "", code: str = "") -> "Page":
        """Something that the reader opens. Plain text cannot fold, so there it is not shown."""
        body = "".join(f"<p>{_inline(part)}</p>" for part in text.split("\n\n") if part)
        body += f"<pre>{html.escape(code)}</pre>" if code else ""
        self.html_parts.append(
            f"<details><summary>{html.escape(summary)}</summary>{body}</details>"
        )
        return self

    def code(self, code: str) -> "Page":
        """Code, not folded."""
        self.html_parts.append(f"<pre>{html.escape(code)}</pre>")
        self.text_parts += ["    " + line for line in code.splitlines()]
        return self

    def table(self, header: list[str], rows: list[list[str]]) -> "Page":
        """A table; its first column names the rows."""
        head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
        body = "".join(
            f'<tr><th scope="row">{html.escape(row[0])}</th>'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in rows
        )
        self.html_parts.append(
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )
        widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]
        self.text_parts += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in [header, *rows]
        ]
        return self

    def text(self) -> str:
        """The page as plain text."""
        return "\n".join([self.title, *self.text_parts])

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        title = html.escape(self.title)
        return (
            f'<div role="status" aria-label="{title}" '
            f'style="border-left: 4px solid {COLOURS[self.state]}; padding: .2em .8em">'
            f"<p style='margin: .3em 0'><b>{title}</b></p>"
            f"{''.join(self.html_parts)}</div>"
        )


def _inline(text: str) -> str:
    """Escaped, with `code` between backticks set as code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{p}</code>" if k % 2 else p for k, p in enumerate(parts))
