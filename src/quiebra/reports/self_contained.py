"""Check that a page is self-contained: that opening it fetches nothing."""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote

FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|embed|object|link)\b[^>]*?\b(?:src|href|data)\s*=\s*["']?((?:https?:)?//[^"'\s>]+)""", re.I
)
STYLE = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')\s]+)""", re.I)
EMBEDDED = re.compile(r"""data:text/css(?:;charset=[\w-]+)?(;base64)?,([^"'\s>]+)""", re.I)
DATA_URI = re.compile(r"""(?s)data:(?!text/css)[\w/+.-]+[;,][^"'\s>)]*""")


def outside_addresses(html: str) -> list[str]:
    """Return the outside addresses that a page, or a style sheet embedded in it, would fetch on opening. Links for readers do not
    count.

    >>> outside_addresses('<a href="https://a.example">read</a> <link rel="stylesheet" href="https://b.example/x.css">')
    ['https://b.example/x.css']
    """
    page = DATA_URI.sub("", html)
    sheets = [
        base64.b64decode(text).decode("utf-8", "replace") if coded else unquote(text) for coded, text in EMBEDDED.findall(page)
    ]
    styles = [*re.findall(r"(?s)<style\b[^>]*>(.*?)</style>", page), *re.findall(r"""\bstyle=["']([^"']*)""", page), *sheets]
    return [*FETCHED.findall(page), *(address for style in styles for address in STYLE.findall(style))]
