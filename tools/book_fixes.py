"""A small Sphinx extension that corrects one defect of an extension of Jupyter Book."""

from typing import Any

from sphinx.application import Sphinx


def drop_repeated_scripts(
    app: Sphinx,  # noqa: ARG001
    pagename: str,  # noqa: ARG001
    templatename: str,  # noqa: ARG001
    context: dict[str, Any],
    doctree: object,  # noqa: ARG001
) -> None:
    """Keep the first of equal scripts: a second `const THEBE_JS_URL` is an error on every page."""
    scripts = {(s.filename or "", *sorted(s.attributes.items())): s for s in context["script_files"]}
    context["script_files"] = list(scripts.values())


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the correction after everything that adds scripts."""
    app.connect("html-page-context", drop_repeated_scripts, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
