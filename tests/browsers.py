"""What the tests ask of every page in a browser."""

from pathlib import Path
from typing import Any

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")


def serious_findings(tab: Any) -> list[list[str]]:
    """Return what axe-core finds serious or critical in the main part of a page: impact, rule and element."""
    tab.evaluate(AXE)
    found = tab.evaluate("async () => (await axe.run('main')).violations.map(v => [v.impact, v.id, v.nodes[0].html])")
    return [finding for finding in found if finding[0] in ("serious", "critical")]
