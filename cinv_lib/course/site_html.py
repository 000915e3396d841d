"""Notebooks and Markdown as HTML that any server and any strict policy takes.

Formulas are MathML. A page has no style, script or handler in it: what a cell's output brings of
them goes, or goes to `site.css`. A link leads to a page of the site, or to no place.
"""

import hashlib
import posixpath
import re
from collections.abc import Mapping
from html import escape, unescape
from urllib.parse import unquote

import nbformat
from jinja2 import pass_context
from latex2mathml.converter import convert as mathml
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

_TAG = re.compile(r"""<([a-zA-Z][\w-]*)((?:[^<>"']|"[^"]*"|'[^']*')*+)>""")
_ATTRIBUTE = re.compile(r"""\s+([^\s=<>"'/]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'<>]+))?""")
_ACTIVE = re.compile(r"<(style|script)\b[^>]*>(.*?)</\1\s*>", re.S | re.I)
_ELSEWHERE = re.compile(r"(https?:|mailto:|data:|#|$)")


class _Renderer(IPythonRenderer):
    """Markdown cells to HTML, formulas to MathML."""

    def inline_math(self, body: str) -> str:
        return formula(body, "inline")

    def block_math(self, body: str) -> str:
        return formula(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        return formula(rf"\begin{{{name}}}{body}\end{{{name}}}", "block")


class _Exporter(HTMLExporter):
    """nbconvert's bare template: the body of a page, without scripts or styles."""

    template_name = "basic"

    @pass_context
    def markdown2html(self, context, source):
        return markdown(source, context.get("cell", {}).get("attachments", {}))


def markdown(source: str, attachments: Mapping | None = None) -> str:
    """Markdown as HTML."""
    renderer = _Renderer(escape=False, attachments=attachments or {}, exclude_anchor_links=True)
    return MarkdownWithMath(renderer=renderer).render(source)


def formula(tex: str, display: str) -> str:
    """TeX as MathML; TeX that the converter does not know stays readable as code."""
    try:
        # it knows align* and not aligned, which is the same within a formula
        made = mathml(re.sub(r"\b(align|gather)ed\b", r"\1*", tex.strip()), display=display)
    except Exception:  # its errors have no common class
        made = "\\"
    # what it does not know it passes on: commands with their backslash, column marks bare
    return f"<code>{escape(tex)}</code>" if "\\" in made or ">&<" in made else made


def body(notebook: nbformat.NotebookNode) -> str:
    """The cells of a notebook with their outputs."""
    return _Exporter().from_notebook_node(notebook)[0]


class Sheet:
    """What pages had as style attributes: a class for each, and the rules for `site.css`."""

    def __init__(self) -> None:
        self.rules: dict[str, str] = {}

    def __str__(self) -> str:
        return "".join(f".{name} {{ {style} }}\n" for name, style in sorted(self.rules.items()))

    def name(self, style: str) -> str:
        """The class that stands for a style attribute."""
        style = style.strip().rstrip(";")
        name = f"s-{hashlib.sha256(style.encode()).hexdigest()[:8]}"
        self.rules[name] = style
        return name


def settled(
    html: str, sheet: Sheet, pages: Mapping[str, str] | None = None, folder: str = ""
) -> str:
    """HTML without scripts, styles and handlers, whose links lead to pages of the site.

    Args:
        pages: from files of the repository to pages of the site; None: all links are right.
        folder: of the repository, in which the text stands.
    """

    def tag(found: re.Match) -> str:
        name, attributes, classes = found[1].lower(), [], []
        for key, value in _ATTRIBUTE.findall(found[2]):
            plain = unescape(value[1:-1] if value[:1] in "\"'" else value)
            if key.lower() == "style":
                classes.append(sheet.name(plain))
            elif key.lower() == "class":
                classes.append(plain)
            elif key.lower().startswith("on"):
                continue
            elif name == "a" and key.lower() == "href" and pages is not None:
                target = _target(plain, pages, folder)
                attributes += [f'href="{escape(target)}"'] if target else []
            else:
                attributes.append(f"{key}={value}" if value else key)
        if classes:
            attributes.insert(0, f'class="{escape(" ".join(classes))}"')
        end = "/" if found[2].rstrip().endswith("/") else ""
        return f"<{' '.join([found[1], *attributes])}{end}>"

    html = _TAG.sub(tag, _ACTIVE.sub("", html))
    return re.sub(r"<table\b.*?</table>", r"<div class='wide'>\g<0></div>", html, flags=re.S)


def _target(href: str, pages: Mapping[str, str], folder: str) -> str:
    """Where a link of the repository leads on the site; "" where there is no such page."""
    if _ELSEWHERE.match(href):
        return href
    file, mark, fragment = href.partition("#")
    page = pages.get(posixpath.normpath(posixpath.join(folder, unquote(file))), "")
    return page + mark + fragment if page else ""


def styles(html: str) -> str:
    """What stands in a page's style elements."""
    return "\n".join(content for name, content in _ACTIVE.findall(html) if name.lower() == "style")
