"""Sphinx's settings for the documentation's site; `make docs` builds it."""

import re

project = "Quiebra"
author = "Quiebra developers"
copyright = "Quiebra developers"
extensions = ["myst_nb", "sphinx.ext.autodoc"]
exclude_patterns = ["README.md"]
html_theme = "furo"
html_title = "Quiebra"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f4e79", "color-brand-content": "#1f4e79"},
    "dark_css_variables": {"color-brand-primary": "#8fb8de", "color-brand-content": "#8fb8de"},
}
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
add_module_names = False
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_ipywidgets_js = {}  # no page shows a widget: nothing is loaded from outside
nb_merge_streams = True
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]


def describe_parameters(app, what, name, obj, options, lines):  # type: ignore[no-untyped-def]
    """Turn the house's paragraphs of parameters, ``name: what it is``, into lists."""
    found, in_field = [], False
    for line in lines:
        head = re.match(r"([a-z_]+(?:, [a-z_]+)*): (.*)", line)
        if head:
            found += ([] if in_field else [""]) + [f"- **{head[1]}**: {head[2]}"]
        else:
            found.append(f"  {line.strip()}" if in_field and line.strip() else line)
        in_field = bool(head) or (in_field and bool(line.strip()))
    lines[:] = found


def setup(app):  # type: ignore[no-untyped-def]
    app.connect("autodoc-process-docstring", describe_parameters)
