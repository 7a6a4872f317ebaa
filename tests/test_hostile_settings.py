"""What people type into settings, or write into params.yaml: nothing hangs, grows or breaks, and everything is answered in words."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, command
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from quiebra.dashboards.pages.setting_forms import RulesForm
from quiebra.dashboards.pages.settings import SettingsPage
from quiebra.errors import InvalidYamlError, ParamsError
from quiebra.io.safe_yaml import read_yaml
from quiebra.params import read_params, validate_params
from quiebra.services import settings
from quiebra.services.setting_values import SETTINGS_BY_LINE, parse_setting
from quiebra.text.words import Words

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{n}: &{n} [{', '.join([f'*{before}'] * 9)}]\n" for before, n in zip("abcdefgh", "bcdefghi", strict=True)
)
REFUSED = {
    "a billion laughs": (LAUGHS, "anchors and aliases"),
    "an alias of depth 5 in one line": ("{a: &a {x: 1}, b: [*a, *a]}", "anchors and aliases"),
    "an anchor that nothing uses": ("a: &a 1", "anchors and aliases"),
    "an alias of itself": ("&a {x: *a}", "anchors and aliases"),
    "python's objects": ("a: !!python/object/apply:os.system ['true']", "tags"),
    "a tag of YAML's own": ("a: !!binary aGFsbG8=", "tags"),
    "a merge key": ("a: {<<: {x: 1}}", "merge keys"),
    "a name twice": ("a: 1\nb: 2\na: 3\n", "line 3: 'a' is there twice"),
    "a name twice deeper down": ("a: {x: 1, x: 1}", "'x' is there twice"),
    "a list as a name": ("? [1]\n: 2", "unhashable"),
    "deep nesting": ("a: " + "[" * 5000 + "]" * 5000, "nested deeper"),
    "deep nesting that never ends": ("{a: " * 10_000, "nested deeper"),
    "deep blocks": ("\n".join(" " * n + "a:" for n in range(200)), "nested deeper"),
    "a very long number": ("a: " + "9" * 30_000, "too long"),
    "a very long fraction": ("a: 0." + "3" * 5000, "too long"),
    "an infinite number": ("a: .inf", "finite"),
    "no number": ("a: .nan", "finite"),
    "a number beyond all": ("a: 1.0e+999", "finite"),
    "a day that is none": ("a: 2024-99-99", ""),
    "NUL": ("a: x\0y", ""),
    "an escape": ("a: \x1b[2J", ""),
    "half a sign": ("a: \ud800", ""),
    "too large": ("# " + "x" * 300_000, "is the most"),
    "an open quote": ("a: 'x", ""),
    "two documents": ("a: 1\n---\nb: 2", ""),
    "tabs": ("a:\n\tb: 1", ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_more_than_names_and_values_is_refused_in_words(name: str) -> None:
    text, words = REFUSED[name]
    with pytest.raises(InvalidYamlError, match=re.escape(words) or None) as refused:
        read_yaml(text)
    assert 5 < len(str(refused.value)) < 400


@pytest.mark.parametrize("name", REFUSED)
def test_the_same_typed_into_a_setting_is_said_beside_its_name(name: str) -> None:
    text, words = REFUSED[name]
    for setting in SETTINGS_BY_LINE:
        with pytest.raises(ParamsError, match=f"^{setting}: ") as refused:
            parse_setting(setting, text)
        assert words.split(":")[0] in str(refused.value) or "is the most" in str(refused.value)


@pytest.mark.parametrize("name", ["a billion laughs", "deep nesting", "a name twice", "a very long number"])
def test_the_same_in_params_is_one_line_of_error(name: str, workspace: Path) -> None:
    (workspace / "params.yaml").write_text(TEXT + REFUSED[name][0], encoding="utf-8")
    done = command(workspace, "quiebra", "run")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: params.yaml is not readable YAML: ")
    assert REFUSED[name][1].split(": ")[-1] in done.stderr
    assert "Traceback" not in done.stderr


def test_a_page_of_settings_that_hold_a_billion_laughs_answers(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    page = SettingsPage()
    page.redraw()
    rules = page.forms["alerts.rules"]
    assert isinstance(rules, RulesForm)
    rules.new_name.value = LAUGHS
    rules.add()
    assert "alerts.rules" in page.shown.value and "one line" in page.shown.value
    page.frame.language = "es"
    page.redraw()
    page.guarded(page.preview)()
    assert "alerts.rules" in page.shown.value and "no se puede usar" in page.shown.value
    (workspace / "params.yaml").write_text(TEXT + LAUGHS, encoding="utf-8")
    fresh = SettingsPage()
    fresh.redraw()
    assert "params.yaml" in fresh.body.children[0].value and "Traceback" not in fresh.body.children[0].value


NASTY = [
    "",
    " ",
    "9" * 100_000,
    "-" + "9" * 4000,
    "1" * 400,
    "1e999",
    "inf",
    ".inf",
    "nan",
    "-0",
    "²",
    "١٢",
    "1_000",
    "0x1F",
    "1,5,5",
    "1.5e",
    "null",
    "None",
    "[]",
    "{}",
    "[[[[",
    "a\0b",
    "\x1b[2J",
    "\u202eabc",
    "x" * 9_999,
    "a" + " " * 9_990 + "b",
    ":" * 5000,
    "," * 9_000,
    "A: 1, A: 1",
    "A: 9" + "9" * 5000,
    "\ud800",
    "- a\n- b",
    "x: {y: 1}",
    "x: {measure: pd_12m, raise: .inf, clear: 0.1}",
    "%",
    "{0}",
    "{name}",
]


KINDS = (
    "score.grades",
    "score.reasons",
    "portfolio.lgd",
    "train.blend_weight",
    "report.title",
    "report.lang",
    "alerts.rules",
    "delivery.channels",
    "delivery.recipients",
    "delivery.owner",
    "delivery.timezone",
    "schedule.cron",
)


@pytest.mark.parametrize("name", KINDS)
def test_no_setting_breaks_whatever_is_typed(name: str) -> None:
    for typed in NASTY:
        try:
            after = settings.edit_params(TEXT, {name: parse_setting(name, typed)})
            validate_params(yaml.safe_load(after))
        except ParamsError as error:
            assert len(str(error)) < 1000, (typed[:40], str(error)[:300])
            assert Words("es").say(error.said)


@limits(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(settings.EDITABLE_NAMES)),
    st.text(max_size=60) | st.from_regex(r"[-+0-9.,eE:{}\[\] a-z]{0,40}", fullmatch=True),
)
def test_no_setting_breaks_at_random(name: str, typed: str) -> None:
    try:
        settings.edit_params(TEXT, {name: parse_setting(name, typed)})
    except ParamsError as error:
        assert Words("es").say(error.said)


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("portfolio.lgd", "", "portfolio.lgd: should be a valid number, not None"),
        ("portfolio.lgd", "9" * 100_000, "portfolio.lgd: it has 100000 signs"),
        ("score.reasons", "9" * 400, "is not a number"),
        ("score.grades", "", "write grades"),
        ("score.watch_from", "", "'' is not a grade"),
        ("schedule.cron", "", "no time as cron"),
        ("delivery.timezone", "", "time zone"),
        ("report.title", "Risk\u202eksiR", "right-to-left override"),
        ("report.title", "Risk\nreport", "line break"),
        ("alerts.rules", '"a\\e[2J": {measure: pd_12m, raise: 0.2, clear: 0.1}', "must be one line"),
        ("alerts.rules", "a: {measure: pd_12m, raise: 1.0e999, clear: 0.1}", ""),
    ],
)
def test_emptied_fields_and_hidden_signs_are_said(name: str, typed: str, words: str) -> None:
    with pytest.raises(ParamsError) as refused:
        settings.edit_params(TEXT, {name: parse_setting(name, typed)})
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("score", 5),
        ("portfolio", None),
        ("delivery", {"recipients": ["a@b.c", 3]}),
        ("report", {"status": "WRONG", "lang": ["x"]}),
        ("monitor", "x"),
        ("alerts", {"rules": [1, 2]}),
    ],
)
def test_the_page_shows_whatever_the_file_holds_so_that_it_can_be_mended(
    section: str, value: object, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    content = yaml.safe_load(TEXT)
    content[section] = {**content[section], **value} if isinstance(value, dict) else value
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    page = SettingsPage()
    page.redraw()
    assert page.fields, page.body.children[0].value
    page.preview()
    assert section in page.shown.value
    assert not page.edits(), "what a form cannot show is not changed without a word"


@pytest.mark.parametrize("made", ["folder", "latin", "nothing", "large"])
def test_params_that_cannot_be_read_are_named(made: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    {
        "folder": lambda: path.mkdir(),
        "latin": lambda: path.write_bytes("título: ñ".encode("latin-1")),
        "nothing": lambda: None,
        "large": lambda: path.write_bytes(b"#" * 2_000_000),
    }[made]()
    with pytest.raises(ParamsError, match=r"params\.yaml"):
        read_params(path)


def test_emptied_rules_and_channels_are_none_and_the_rest_stays() -> None:
    after = settings.edit_params(TEXT, {"alerts.rules": parse_setting("alerts.rules", ""), "delivery.channels": {}})
    assert yaml.safe_load(after)["alerts"]["rules"] == yaml.safe_load(after)["delivery"]["channels"] == {}
    assert yaml.safe_load(after)["alerts"]["back_test"] == yaml.safe_load(TEXT)["alerts"]["back_test"]


def test_a_page_reads_its_settings_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty settings of one text are sixty looks into one reading of it: a page does not do the work sixty times."""
    code = (
        "import sys; from pathlib import Path; from quiebra import params\n"
        "from quiebra.services import settings\n"
        "n = []; real = params.read_yaml; params.read_yaml = lambda *a: (n.append(1), real(*a))[1]\n"
        "text = Path('params.yaml').read_text()\n"
        "for name in settings.EDITABLE_NAMES: settings.setting_value(text, name)\n"
        "print(len(settings.EDITABLE_NAMES) > 40, len(n))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "1"], done.stderr
