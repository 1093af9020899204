"""How the documentation is built: ``python -m sphinx -W --keep-going docs docs/_build``.

Pages are Markdown, and their links work as files, too; the reference comes from docstrings, the gallery from examples/.
Nothing on a page is fetched from elsewhere: equations are MathML, which browsers draw themselves.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import skgd

project = "skgd"
author = "the skgd developers"
copyright = author
version = release = skgd.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["README.md", "_build"]  # README.md is for those who read this folder
templates_path = ["_templates"]
default_role = "literal"
smartquotes = False  # "gd" is a string
nitpicky = True
toc_object_entries_show_parents = "hide"

# ---------------------------------------------------------------- pages
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

# ---------------------------------------------------------------- reference
autodoc_typehints = "none"  # docstrings say more: shapes
numpydoc_class_members_toctree = False
numpydoc_validation_checks = {
    "all",
    "ES01",  # a summary may say it all
    "EX01",  # of examples and related functions there is one for each class
    "SA01",
    "SS05",  # "Probabilities" is no verb
    "RT02",  # scikit-learn names what its methods return
}

# ---------------------------------------------------------------- gallery
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"\.py$",  # all of them are run
    "backreferences_dir": "generated/backreferences",
    "doc_module": "skgd",
    "default_thumb_file": str(Path(__file__).parent / "_static/logo.svg"),
    "image_srcset": ["2x"],
    "show_signature": False,
    "write_computation_times": False,
}
warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")

# ---------------------------------------------------------------- theme
html_math_renderer = "mathml"  # below
html_theme = "pydata_sphinx_theme"
html_title = f"skgd {release}"
html_logo = html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["skgd.css"]
html_show_sourcelink = False
html_use_index = html_domain_indices = False  # the reference is short
html_sidebars = {page: [] for page in ("index", "migration", "benchmarks")}
html_theme_options = {
    "logo": {"text": "skgd"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}


# ---------------------------------------------------------------- what Sphinx is taught
def examples_in_the_gallery(app: Any, *where: Any) -> None:
    """Let links to example files lead to their pages."""
    text = where[-1]
    text[0] = re.sub(r"\]\([./]*examples/(\w+)\.py\)", r"](/auto_examples/\1.rst)", text[0])
    text[0] = re.sub(r"\]\([./]*examples\)", "](/auto_examples/index.rst)", text[0])


SCIKIT_LEARN = {
    "accuracy_score": "modules/model_evaluation.html#accuracy-score",
    "meta-estimator": "glossary.html#term-meta-estimator",
    "metadata_routing": "metadata_routing.html",
    "r2_score": "modules/model_evaluation.html#r2-score",
}


def in_scikit_learn(app: Any, env: Any, node: nodes.Element, text: nodes.Element) -> nodes.Node | None:
    """Link what docstrings inherited from scikit-learn refer to: its names and its pages."""
    target = node["reftarget"]
    page = f"modules/generated/{target}.html" if target.startswith("sklearn.") else SCIKIT_LEARN.get(target)
    return page and nodes.reference("", "", text, refuri=f"https://scikit-learn.org/stable/{page}")


def mathml(self: Any, node: nodes.Element) -> None:
    """An equation, drawn by the browser."""
    block = isinstance(node, nodes.math_block)
    equation = tex2mathml(node.astext(), as_block=block)
    self.body.append(f'<div class="equation">{equation}</div>' if block else equation)
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Register it."""
    app.connect("source-read", examples_in_the_gallery)
    app.connect("include-read", examples_in_the_gallery)
    app.connect("missing-reference", in_scikit_learn)
    app.add_html_math_renderer("mathml", inline_renderers=(mathml, None), block_renderers=(mathml, None))
