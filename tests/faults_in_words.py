"""Faults of wording that a reader would stumble over, found in any text, in English or Spanish."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping

SINGULAR_IN_S = "is|was|has|does|this|its|us|less|loss|process|business|basis|es|más|mas|tras|mes|menos|país|interés"
"""Words that end in s and may follow a one."""
ENGLISH_WORDS = "the|of|with|than|within|company|companies|which|are|was|were|from|years|since|their|and|alerts"
FAULTS = {
    "power of ten": r"\d\.\d+[eE][-+−]?\d|\d[eE][-+−]\d",
    "hyphen for a minus sign": r"(?:^|[\s(\[±:])-\d",
    "plural after a one": rf"(?<![\d.,:/-])\b1 (?!(?:{SINGULAR_IN_S})\b)[a-záéíóúñ]+s\b",
    "plural in brackets": r"\w\((?:s|es|n)\)",
    "two full stops": r"(?<!\.)\.\.(?!\.)",
    "no value": r"\b(?:None|nan|NaN|NaT|inf)\b|\[\]|\bnull\b",
    "hole in a sentence": r"\b(?:from|to|of|is|by|de|del|a|al|es|desde|hasta) –|– (?:of|to|from|de|del|hasta|would)\b",
    "place not filled in": r"\{\w+\}",
    "label cut short": r"\w…(?=$|\s)",
    "arithmetic of a rule": r"\((?:from|desde) [\d.,]+\s?(?:%|times|veces)? ?(?:on)?\)",
}
"""Fault → what it looks like."""
UNTRANSLATED = rf"\b(?:{ENGLISH_WORDS})\b"


def faults(text: str, language: str = "en", known: Iterable[str] = (), but: Iterable[str] = ()) -> dict[str, str]:
    """Return fault → where it stands in a text. known: data (names, sectors) that is no wording. but: faults not looked for."""
    for name in sorted(known, key=len, reverse=True):
        text = text.replace(name, "◆")
    text = re.sub(r"`[^`]*`|https?://\S+", "◆", text)  # commands and addresses are typed as they are
    looked = {**FAULTS, **({"untranslated": UNTRANSLATED} if language == "es" else {})}
    found = {name: re.search(pattern, text) for name, pattern in looked.items() if name not in but}
    return {name: text[max(0, m.start() - 40) : m.end() + 40] for name, m in found.items() if m is not None}


def faults_of(texts: Mapping[str, Iterable[str]], language: str, known: Iterable[str] = (), but: Iterable[str] = ()) -> list[str]:
    """Return ``where: fault: …text…`` of each different fault in texts by where they stand."""
    found = {
        f"{where}: {name}: …{there}…"
        for where, pieces in texts.items()
        for piece in pieces
        for name, there in faults(piece, language, known, but).items()
    }
    return sorted(found)


def pieces(page: str) -> list[str]:
    """Return what a page of HTML says, piece by piece: its paragraphs, cells, labels and alternatives to pictures."""
    body = re.sub(r"<(style|script|svg|pre|code)\b.*?</\1>|<!--.*?-->", " ", page, flags=re.S)
    spoken = re.findall(r'\s(?:alt|aria-label|title|placeholder)="([^"]*)"', body)
    blocks = re.split(
        r"</?(?:p|div|td|th|tr|li|ul|ol|h\d|table|section|figure|figcaption|caption|header|footer|nav|dt|dd|body|br|span class=\"q-chip)\b[^>]*>",
        body,
    )
    said = [html.unescape(re.sub(r"<[^>]*>", "", block)) for block in (*blocks, *spoken)]
    return [" ".join(text.replace("\xa0", " ").split()) for text in said if text.strip()]
