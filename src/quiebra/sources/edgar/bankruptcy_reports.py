"""Whose case the text of an 8-K with item 1.03 is about: the registrant's own, a subsidiary's, its parent's, none, or not clear.

The rules: references to the registrant (its name, what the text calls it, "the Company") become one sign; "a subsidiary of the
Company" and "the Company's parent" become two others. The sentences that tell of a petition or a receiver are then read for who
is in them: the registrant, if its sign stands there by itself.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import polars as pl

from quiebra.sources.raw_store import RawStore

REGISTRANT, SUBSIDIARY, PARENT, NONE, UNCLEAR = "registrant", "subsidiary", "parent", "none", "unclear"
"""none: the item says that it does not apply."""
NOT_ITS_OWN = (SUBSIDIARY, PARENT, NONE)
LARGEST_READ = 2_000_000
"""Bytes of a document that are read."""
FEWEST_LETTERS = 30
"""An item with fewer is a line of a table of contents, if there is another."""
LONGEST_JUDGED = 100_000
"""Characters of an item that are searched; those of real ones are some thousands."""
SHARE_IN_CAPITALS = 0.8
"""Share of the letters above which a text counts as written in capitals."""
DOCUMENTS = "documents/"
"""Folder of the store with the main document of each report, by accession."""
JUDGED_SCHEMA: dict[str, Any] = {
    "accession": pl.String,
    "who": pl.String,
    "plan": pl.Boolean,
    "event_date": pl.Date,
}
"""event_date: the day of the petition, or of filing; see `petition_date`."""
MAX_DAYS_BEFORE_FILING = 10
"""A petition is reported within four business days."""
_R, _S, _P, _O = "@R", "@S", "@P", "@O"
"""Signs that stand in a text for the registrant, a subsidiary of it, its parent, and others that it deals with."""
_HIDDEN = ("script", "style", "ix:header")
_INLINE = ("a", "abbr", "b", "big", "em", "font", "i", "ix:nonnumeric", "s", "small", "span", "strong", "sub", "sup", "tt", "u")
_TITLES = (
    "entry|termination|bankruptcy|mine safety|material|completion|results|creation|triggering|costs|notice|unregistered|changes?"
    "|non-?reliance|departure|election|amendments?|temporary|submission|shareholder|regulation|other|financial|asset|securit"
)
_NUMBERS = r"\bitems? ?\d ?\. ?\d\d(?:\(\w\))?(?:(?: and| ?,| ?&| ?;)+ (?:item )?\d ?\. ?\d\d)*"
_HEADING = re.compile(rf"{_NUMBERS}[ .:\-\u2013\u2014|]*(?={_TITLES})", re.IGNORECASE)
_OWN_NUMBER = re.compile(r"\b1 ?\. ?03\b")
_TITLE = re.compile(r"bankruptcy (?:or|and|and/or) receivership[ .:;\-\u2013\u2014]*", re.IGNORECASE)
_NO_ITEM = re.compile(r"\W*(?:not applicable|inapplicable|n ?/ ?a|none)\W*", re.IGNORECASE)
_MAIN = re.compile(rb"\s*<TYPE>\s*8-K", re.IGNORECASE)
_SIGNATURE = re.compile(r"\bSIGNATURES?\b|\bPursuant to the requirements of the Securities Exchange Act", re.IGNORECASE)
_KINDS = {
    "inc": r"inc(?:orporated)?",
    "corp": r"corp(?:oration)?",
    "co": r"co(?:mpany)?",
    "llc": r"l\.?l\.?c",
    "lp": r"l\.?p",
    "ltd": r"(?:ltd|limited)",
    "plc": r"plc",
}
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_DATE = re.compile(rf"\b({_MONTHS}) (\d{{1,2}}), ?(\d{{4}})\b", re.IGNORECASE)
_PETITION = (
    r"(?:petitions?|cases?\b|proceedings?|bankruptcy protection|for (?:chapter \d+ )?bankruptcy|for (?:protection|relief)"
    r"|(?:under|for) chapter|protection (?:under|from)|assignment for the benefit of)"
)
_FILED = re.compile(
    rf"\b(?:filed|commenced|initiated|instituted|sought|made|caused\b.{{0,120}}?\bto (?:file|commence))\b"
    rf"(?:(?!motion|claim|statement|objection|report|schedules|\bplan\b|press release|adversary|appeal)[^;]){{0,90}}?{_PETITION}",
    re.IGNORECASE,
)
_PASSIVE = re.compile(
    rf"{_PETITION}[^;]{{0,160}}?\b(?:was|were|been) (?:\w+ )?(?:filed|commenced|initiated|instituted)"
    rf"|\b(?:filing|commencement) by [^;]{{0,160}}?{_PETITION}",
    re.IGNORECASE,
)
_AGAINST = re.compile(
    rf"(?:involuntary|order for relief|{_PETITION})[^;]{{0,200}}?\bagainst (?P<who>[^;]{{1,160}})", re.IGNORECASE
)
_RECEIVER = re.compile(
    r"\b(?:receiver|conservator|liquidator|custodian|provisional liquidators?)(?:ship)? (?:\w+ )?"
    r"(?:for|of|over)(?: (?:all|substantially all)? ?(?:of )?(?:the )?(?:assets|property|business) of)? (?P<who>[^;]{1,160})",
    re.IGNORECASE,
)
_PLACED = re.compile(
    r"\b(?:placed|put|went|entered) (?:into|in|under)\b[^;]{0,30}"
    r"\b(?:receivership|conservatorship|liquidation|administration)\b",
    re.IGNORECASE,
)
_PLAN = re.compile(
    r"\border[^;.]{0,80}\bconfirm(?:ing|ed)\b|\bconfirmation order\b|\bconfirmed the [^;.]{0,120}\bplan\b"
    r"|\bplan\b[^;.]{0,120}\b(?:became effective|was confirmed|was consummated|was declared effective|went effective)\b"
    r"|\bemerged from (?:chapter 11|bankruptcy)",
    re.IGNORECASE,
)
_TOLD_THAT = re.compile(
    rf"^.*?\b(?:announced|announcing|reported|learned|informed|notified|notice|aware|disclosed|advised)\b"
    rf"(?:(?!{_R})[^;]){{0,60}}?\bthat\b",
    re.IGNORECASE,
)
_NOT_THE_REGISTRANT = re.compile(
    rf"{_R} (?:itself )?(?:(?:is|was|are|were) not (?:itself )?(?:a |an |one of |part of |included |currently |the ){{1,3}}"
    rf"(?:[\w ]{{0,20}}debtors?\b|party|subject of|in (?:the|these|this|that)|filings?|(?:bankruptcy )?(?:case|proceeding)s?)"
    rf"|(?:has|have|did) not (?:itself )?(?:filed?|commenced?|sought|seek) "
    rf"(?:for |a |any |voluntary |bankruptcy |chapter \d+ ){{0,5}}"
    rf"(?:petition|bankruptcy|insolvency|protection|relief|cases?\b|chapter))"
    rf"|\bneither {_R}(?!')[^.;]{{0,160}}?(?:debtor|filed|included in|party to|part of|filing|sought)",
    re.IGNORECASE,
)
_ITS_OWN = re.compile(
    rf"\b(?:cases?|petitions?|bankruptcy|receivership|plan\b[^.;@]{{0,60}}) (?:of|for) {_R}(?!\w|')"
    rf"|{_R}'s? (?:[\w-]+ ){{0,3}}?(?:cases?|petitions?|plan of|bankruptcy|receivership)\b"
    rf"|{_R} (?:[\w-]+ ){{0,6}}?(?:filed?|filing|sought|commenced|emerged|initial order|receivership)\b"
    rf"|\b(?:plac|put)\w* {_R} (?:into|in|under)\b",
    re.IGNORECASE,
)
"""Words on a case of the registrant's own, where the sentence is not understood."""
_ALSO = re.compile(
    rf"\b(?:so|as) (?:did|has|have|will|was|were) {_R}(?!\w|')"
    rf"|{_R} (?:[\w-]+ ){{0,4}}?(?:joined|followed"
    r"|(?:be|became|is|are|was|were|added as|also) (?:also )?(?:an? |one of )?(?:the )?(?:[\w-]+ )?debtors?\b)"
    rf"|\bconsolidat\w+ (?:of|with) {_R}(?!\w|')"
    r"|\b(?:its|their|the) (?:parent(?: company| corporation)?|holding company) (?:has |have )?(?:also|itself|joined|followed)\b",
    re.IGNORECASE,
)
"""Words that say that the registrant, too, is in the case of others."""
_OTHERS = (
    "suppliers?|vendors?|customers?|clients?|tenants?|lessees?|landlords?|lessors?|lenders?|borrowers?|franchisees?|licensees?"
    "|licensors?|distributors?|officers?|directors?|competitors?|contractors?|guarantors? of"
)
_GROUP = re.compile(
    r"\b(?:and|with|including|as well as|plus) (?:(?! and the )[^,;@]){0,70}?"
    r"\b(?:subsidiar(?:y|ies)|affiliates?|affiliated \w+|joint ventures?)\b",
    re.IGNORECASE,
)
"""What a debtor brings with it: its own subsidiaries, not the registrant's."""
_STARTS = "The|On|As|In|Under|This|These|A|An|Each|Neither|No|Our|We"
"""Words that begin a sentence after a name that ends in a point."""
_ABBREVIATED = re.compile(rf"\b((?i:Inc|Corp|Co|Ltd|Nos?|Mr|Ms|Mrs|Dr|Jr|Sr|vs?|al|LLC|LP))\.(?! (?:{_STARTS}|{_R}) )")
_DEBTORS = re.compile(r"\([^()]*\"[^\"()]*Debtors?\"[^()]*\)", re.IGNORECASE)


@dataclass(frozen=True)
class Judgement:
    """What a report says. who: whose case. plan: a plan was confirmed or took effect. petition: the day that it states."""

    who: str
    plan: bool = False
    petition: dt.date | None = None


def judge_reports(store: RawStore, told: pl.DataFrame, names: dict[int, set[str]]) -> pl.DataFrame:
    """Return the judgement (`JUDGED_SCHEMA`) of each report whose document was fetched.

    told: reports with cik, accession and filed. names: of companies, present and former.
    """
    there = set(store.names(DOCUMENTS))
    rows = []
    for cik, accession, filed in told.select("cik", "accession", "filed").iter_rows():
        if f"{DOCUMENTS}{accession}" in there:
            found = judge_report(store.read(f"{DOCUMENTS}{accession}"), sorted(names.get(cik, ())))
            rows.append((accession, found.who, found.plan, petition_date(found, filed)))
    return pl.DataFrame(rows, schema=JUDGED_SCHEMA, orient="row")


def judge_report(body: bytes, names: Iterable[str]) -> Judgement:
    """Return whose case a document is about. names: of the registrant, present and former."""
    text = plain_text(body)
    item = item_text(text)
    if item != text and _NO_ITEM.fullmatch(item):
        return Judgement(NONE)
    found = _judged(_small_letters(item[:LONGEST_JUDGED]), list(names))
    if found.who != UNCLEAR or found.petition is not None:
        return found
    signed = _SIGNATURE.search(text)
    return _judged(_small_letters(text[: signed.start() if signed else None][:LONGEST_JUDGED]), list(names))


def petition_date(judgement: Judgement, filed: dt.date) -> dt.date:
    """Return the day of the petition where the text states one that fits the day of filing; else the day of filing."""
    stated = judgement.petition
    near = stated is not None and 0 <= (filed - stated).days <= MAX_DAYS_BEFORE_FILING
    return stated if near and stated is not None else filed


def plain_text(body: bytes) -> str:
    """Return the text of a document, HTML or plain, in one line: with single blanks and straight marks of quotation."""
    head = _main_document(body)[:LARGEST_READ]
    try:
        text = head.decode()
    except UnicodeDecodeError:
        text = head.decode("cp1252", errors="replace")
    text = re.sub(r"<!--.*?(?:-->|\Z)", "", text.partition("</DOCUMENT>")[0], flags=re.DOTALL)
    reader = _TextReader()
    reader.feed(text.replace("<![", "<!"))  # the parser refuses sections that word processors mark so
    reader.close()
    plain = _TO_REPLACE.sub(lambda found: found[0].translate(_SIGNS), "".join(reader.parts))
    plain = re.sub(r'"\s*(?=[^"()]*"[^()]*\))', '"', " ".join(plain.split()))
    return plain.replace("' s ", "'s ")


def _main_document(body: bytes) -> bytes:
    """Return the report in a whole submission, where exhibits may stand before it; another body as it is."""
    _, *documents = body.split(b"<DOCUMENT>")
    return next((each for each in documents if _MAIN.match(each)), documents[0] if documents else body)


_SIGNS = str.maketrans({"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\u0093": '"', "\u0094": '"', "\u0092": "'",
                        "\u2010": "-", "\u2011": "-", "\u00ad": "", "\u200b": "", "\ufeff": "", "@": " "})  # fmt: skip

_TO_REPLACE = re.compile(f"[{''.join(map(chr, _SIGNS))}]+")


class _TextReader(HTMLParser):
    """Collects the text that a reader sees; what stands in different cells or paragraphs is parted by a blank."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in _HIDDEN
        self.parts.append("" if tag in _INLINE else " ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append("" if tag in _INLINE else " ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in _HIDDEN))
        self.parts.append("" if tag in _INLINE else " ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def item_text(text: str) -> str:
    """Return the text of item 1.03, up to the next item or the signature; all of it where no such heading is found."""
    headings = list(_HEADING.finditer(text))
    items = [_up_to_the_next(text, each, headings) for each in headings if _OWN_NUMBER.search(each[0])]
    long = (item for item in items if sum(map(str.isalpha, item)) >= FEWEST_LETTERS)
    return next(long, items[-1] if items else text)


def _up_to_the_next(text: str, own: re.Match[str], headings: list[re.Match[str]]) -> str:
    following = [each.start() for each in headings if each.start() > own.start()]
    signed = [end.start()] if (end := _SIGNATURE.search(text, own.end())) else []
    return _TITLE.sub(" ", text[own.end() : min([*following, *signed, len(text)])], count=1)


def _small_letters(text: str) -> str:
    """Return a text in capitals with small letters, but for the first of each sentence; another as it is."""
    if sum(map(str.isupper, text)) < SHARE_IN_CAPITALS * max(sum(map(str.isalpha, text)), 1):
        return text
    small = _ABBREVIATED.sub(r"\1", text).lower()
    return re.sub(r"(?:^|(?<!\b[a-z])[.!?] )\"?[a-z]", lambda start: start[0].upper(), small)


def _judged(text: str, names: list[str]) -> Judgement:
    told = _with_signs(text, names)
    sentences = list(_sentences(told))
    debtors = next((sentence[: ends.end()] for sentence in sentences if (ends := _DEBTORS.search(sentence))), "")
    plan = any(_PLAN.search(sentence) for sentence in sentences)
    told_of = [sentence for sentence in sentences if not _NOT_THE_REGISTRANT.search(sentence)]
    found = [(_who(phrase, debtors), sentence) for sentence in told_of for phrase in _debtor_phrases(sentence)]
    if plan and not any(who != UNCLEAR for who, _ in found):
        found += [(_who(sentence, debtors), sentence) for sentence in sentences if _PLAN.search(sentence)]
    if any(who == REGISTRANT for who, _ in found):
        who = UNCLEAR if _NOT_THE_REGISTRANT.search(told) else REGISTRANT
    else:
        kinds = {who for who, _ in found}
        who = kinds.pop() if len(kinds) == 1 else UNCLEAR
        who = _excluded(told, found) if who == UNCLEAR else who
        understood = [sentence for each, sentence in found if each != UNCLEAR]
        if any(_ALSO.search(each) or (each not in understood and _ITS_OWN.search(each)) for each in told_of):
            who = UNCLEAR
    return Judgement(who, plan, _stated_day(told, [sentence for each, sentence in found if each == who] or sentences))


def _excluded(told: str, found: list[tuple[str, str]]) -> str:
    """Return whose case it is where the text says no more than that it is not the registrant's."""
    if not found or not _NOT_THE_REGISTRANT.search(told):
        return UNCLEAR
    return PARENT if _P in told and _S not in told and "subsidiar" not in told.lower() else SUBSIDIARY


def _debtor_phrases(sentence: str) -> Iterator[str]:
    """Yield the parts of a sentence that name the debtor of a petition, or whom a receiver was appointed for."""
    _, _, further = sentence.partition(";")
    if further:
        yield from _debtor_phrases(further)
    if against := _AGAINST.search(sentence):
        yield re.split(r"\b(?:under|in the (?:United|U)|pursuant|seeking|by )\b", against["who"])[0]
    elif passive := _PASSIVE.search(sentence):
        yield re.split(r"\bby\b", sentence[passive.start() :], maxsplit=1)[-1]
    elif filed := _FILED.search(sentence):
        yield sentence[: filed.start()] + (filed[0] if filed[0].lower().startswith("caused") else "")
    elif receiver := _RECEIVER.search(sentence):
        yield receiver["who"]
    elif placed := _PLACED.search(sentence):
        yield sentence[: placed.start()].rpartition(";")[2]


def _who(phrase: str, debtors: str) -> str:
    """Return whose case it is by the words that name the debtor. debtors: where the text says who "the Debtors" are."""
    if told := _TOLD_THAT.match(phrase):
        phrase = re.sub(r"\b(?:it|they)\b", _R, phrase[told.end() :])
    phrase = re.sub(
        rf"\b(?:other than|rather than|excluding|except(?: for)?|not including|which {_R}'?s?) ?(?:{_R})?", " ", phrase
    )
    phrase = re.sub(rf"{_R}(?:, \w+ {_S},?)? (?:has |had )?caused", " ", phrase)
    if re.search(rf"{_R}(?!\w|'s? )", phrase):
        return REGISTRANT
    alone = _GROUP.sub(" ", phrase)
    if _P in phrase and alone == phrase and _S not in phrase:
        return PARENT
    if _P not in phrase and (_S in alone or re.search(r"subsidiar|joint venture", alone, re.IGNORECASE)):
        return UNCLEAR if re.search(r"\bparent\b|holding company", alone, re.IGNORECASE) else SUBSIDIARY
    return _who(debtors, "") if debtors and "debtor" in phrase.lower() else UNCLEAR


def _with_signs(text: str, names: list[str]) -> str:
    """Return a text with signs in place of the registrant, its subsidiaries and its parent."""
    pattern = "|".join(filter(None, (_name_pattern(name) for name in names))) or r"(?!)"
    own = re.compile(
        rf"(?:{pattern})(?P<also>(?:,? an? (?:\w+ ){{1,3}}(?:corporation|company|partnership|trust),?)? ?\([^()]*\"[^()]*\))?"
    )
    terms = {term for found in own.finditer(text) for term in re.findall(r'"([^"]+)"', found["also"] or "")}
    text = own.sub(f"{_R} ", text)
    text = re.sub(
        r"\((?:\w+ ){0,8}\"(?:the )?(?:Company|Registrant|Corporation|Partnership|Trust)\"[^()]*\)", _R, text, flags=re.IGNORECASE
    )
    called = "|".join(
        re.escape(term) for term in sorted(terms, key=len, reverse=True) if not re.search("debtor|case", term, re.I)
    )
    if called:
        text = re.sub(rf"\b(?:[Tt]he )?(?:{called})(?! [A-Z])\b", _R, text)
    text = re.sub(r"(?i:\bthe (?:company|registrant|corporation|partnership|trust)\b)(?! [A-Z])|\b(?:[Ww]e|us)\b", _R, text)
    text = re.sub(r"\bour\b", f"{_R}'s", text, flags=re.IGNORECASE)
    text = " ".join(text.split()).replace(f"{_R} '", f"{_R}'")
    up_to = rf"(?:(?! and | or )[^;@]){{0,80}}?{_R}(?!\w)(?:'s?)?"
    holder = "(?:majority|controlling|principal|sole) (?:share|stock|unit)holder"
    owner = f"(?:parent(?: company| corporation)?|holding company|{holder}|general partner)"
    text = re.sub(
        rf"{_R}'s? (?:(?!parent|its|their)[\w-]+,? ){{0,8}}?(?:subsidiar(?:y|ies)|affiliates?|joint venture)\b", _S, text
    )
    text = re.sub(rf"\b(?:subsidiar(?:y|ies)|affiliates?)\b[^,;@]{{0,40}}? (?:of|by|to) {up_to}", _S, text)
    text = re.sub(
        rf"\b(?:{_OTHERS})\b[^,;@]{{0,40}}? (?:of|to|for) {up_to}|{_R}'s? (?:[\w-]+ ){{0,4}}?(?:{_OTHERS})\b|\bfrom {_R}(?!')",
        _O,
        text,
        flags=re.I,
    )
    text = re.sub(rf"\b(?:owned|held|controlled) by {up_to}|\bin which {_R} (?:\w+ ){{0,2}}(?:owns|holds|has)\b", _S, text)
    text = re.sub(rf"{_R}'s? (?:[\w-]+,? ){{0,4}}?{owner}", _P, text, flags=re.IGNORECASE)
    return re.sub(rf"\b{owner} (?:of|to) {up_to}|\bwhich (?:owns|holds|controls) [^;@]{{0,60}}?{_R}'?s?", _P, text, flags=re.I)


def _name_pattern(name: str) -> str | None:
    """Return a pattern of a name as texts write it: "ACME CORP /DE/" is Acme Corporation and Acme, but not Acme Sub."""
    words = re.findall(r"[\w&]+", re.sub(r"/\w+/?", " ", name.lower().replace("l.l.c", "llc").replace("l.p", "lp")))
    kind = next((key for key, spelt in _KINDS.items() if words and re.fullmatch(spelt, words[-1])), None)
    core = words[:-1] if kind else words
    if not core or len("".join(core)) < 3:
        return None
    spelt = r"[\s,.'\-]*".join("(?:&|and)" if word in ("&", "and") else re.escape(word) for word in core)
    point = rf"(?:\.(?! (?:{_STARTS}) ))?"  # one that ends a sentence stays
    suffix = rf"(?i:,? {_KINDS[kind] if kind else '(?:inc|corp)'}\b){point}"
    return rf"(?:\b(?i:{spelt})(?:{suffix}|(?!,? (?:[A-Z]|(?i:inc|corp|llc|ltd|limited)\b)))(?!\w))"


def _sentences(text: str) -> Iterator[str]:
    """Yield the sentences; points of abbreviations end none."""
    short = _ABBREVIATED.sub(r"\1", text)
    short = re.sub(r"\b([A-Z])\.(?=[A-Z ,)])", r"\1", short)
    yield from re.split(rf"(?<=[.!?])\"? (?=[A-Z\"(]|{_R}|{_S}|{_P})", short)


def _stated_day(text: str, sentences: list[str]) -> dt.date | None:
    """Return the day that a text calls the petition date, else the first of the sentences that tell of it."""
    named = re.search(
        rf"({_DATE.pattern})[^.;()]{{0,20}}\([^()]*\"[^\"()]*(?:petition|filing|commencement) date\"", text, re.IGNORECASE
    )
    for part in ([named[0]] if named else []) + [each for each in sentences if any(True for _ in _debtor_phrases(each))]:
        for month, day, year in _DATE.findall(part):
            try:
                return dt.date(int(year), _MONTHS.split("|").index(month.lower()) + 1, int(day))
            except ValueError:
                continue
    return None
