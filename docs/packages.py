"""Draw the packages and their arrows from the imports: `python docs/packages.py` writes docs/packages.svg.

An arrow means "imports from". Arrows that follow from others are left out: where A imports from B and B from C, one from A to C
adds nothing to the order. Nor are there arrows to the foundations, which nearly every package uses.
"""

import ast
import textwrap
import tomllib
from pathlib import Path

import grimp
import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "quiebra", "svg.fonttype": "none", "font.family": "sans-serif"})

import networkx as nx  # noqa: E402  # the backend is chosen first
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch  # noqa: E402

ROOT = Path(__file__).parents[1]
WIDTH, HEIGHT, STEP = 2.4, 1.2, 2.95
ROWS = {
    "Entry points": ("cli", "dashboards", "api", "research", "schedule", "delivery", "doctor"),
    "Services, execution, presentation": ("services", "pipeline", "reports", "plots", "identity"),
    "From a score to a decision": ("registry", "risk", "store", "alerts"),
    "From raw statements to a score": ("validation", "models", "feature_engineering", "panels", "sources"),
}
"""Row → its packages, laid out so that few arrows cross."""


def layers() -> list[list[str]]:
    """Return the contract's layers, top first, each with its packages and modules."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    rows = settings["contracts"][0]["layers"]
    return [[name.strip().removeprefix("quiebra.") for name in row.split("|")] for row in rows]


def imports() -> nx.DiGraph:
    """Return package → packages that it imports from."""
    graph = grimp.build_graph("quiebra", cache_dir=None)
    names = [name for row in layers() for name in row]
    arrows = nx.DiGraph()
    arrows.add_nodes_from(names)
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            ends = [name.split(".")[1] if "." in name else "" for name in (module, other)]
            if ends[0] != ends[1] and set(ends) <= set(names):
                arrows.add_edge(*ends)
    return arrows


def purpose(name: str) -> str:
    """Return the first sentence of a package's docstring."""
    path = ROOT / "src/quiebra" / name
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(doc.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def box(axes: Axes, name: str, x: float, y: float, height: float = HEIGHT) -> None:
    """Draw one box around its middle, with name and purpose."""
    corner = (x - WIDTH / 2, y - height / 2)
    axes.add_patch(
        FancyBboxPatch(corner, WIDTH, height, boxstyle="round,pad=0,rounding_size=0.06", fc="#f4f7fa", ec="#1f4e79", zorder=2)
    )
    axes.text(x, y + height / 2 - 0.2, name, ha="center", va="center", fontsize=12, weight="bold", color="#12324f", zorder=3)
    text = textwrap.fill(textwrap.shorten(purpose(name).replace("`", ""), 88, placeholder=" …"), 26)
    axes.text(x, y + height / 2 - 0.38, text, ha="center", va="top", fontsize=7.4, color="#33414f", zorder=3)


def arrow(axes: Axes, near: tuple[float, float], far: tuple[float, float]) -> None:
    """Draw an arrow from a box to another one: sideways between neighbours, from the lower to the upper edge between rows."""
    (x0, y0), (x1, y1) = near, far
    bend = 0.0
    if y0 == y1:
        side = 1 if x1 > x0 else -1
        start, end = (x0 + side * WIDTH / 2, y0), (x1 - side * WIDTH / 2, y1)
        if abs(x1 - x0) > 1.5 * STEP:
            start, end, bend = (x0, y0 + HEIGHT / 2), (x1, y1 + HEIGHT / 2), 0.16 * side * -1
    else:
        start, end = (x0, y0 - HEIGHT / 2), (x1, y1 + HEIGHT / 2)
    patch = FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, connectionstyle=f"arc3,rad={bend}", color="#6b7a8c")
    axes.add_patch(patch)


def draw(path: Path) -> None:
    """Write the picture."""
    arrows = imports()
    upper = nx.transitive_reduction(arrows.subgraph(name for row in ROWS.values() for name in row))
    places = {
        name: (at * STEP, -depth * (HEIGHT + 0.75)) for depth, row in enumerate(ROWS.values()) for at, name in enumerate(row)
    }
    figure, axes = plt.subplots(figsize=(14.5, 12))
    for near, far in sorted(upper.edges):
        arrow(axes, places[near], places[far])
    for name, place in places.items():
        box(axes, name, *place)
    for depth, title in enumerate(ROWS):
        axes.text(-WIDTH / 2, -depth * (HEIGHT + 0.75) + HEIGHT / 2 + 0.2, title, fontsize=9, style="italic", color="#6b7a8c")
    floor = -len(ROWS) * (HEIGHT + 0.75) + 0.1
    axes.text(-WIDTH / 2, floor + 0.72, "Foundations, which every package may use", fontsize=9, style="italic", color="#6b7a8c")
    ground = [name for row in layers() for name in row if name not in places]
    for at, name in enumerate(ground):
        box(axes, name, at % 5 * STEP, floor - at // 5 * 1.4, HEIGHT)
    axes.set_xlim(-WIDTH, 4 * STEP + WIDTH)
    axes.set_ylim(floor - (len(ground) - 1) // 5 * 1.4 - 1, 1.4 * HEIGHT)
    axes.set_axis_off()
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None, "Description": described(arrows)})
    plt.close(figure)


def described(arrows: nx.DiGraph) -> str:
    """Return all arrows as text: what a test compares the picture with."""
    return "; ".join(f"{near} -> {far}" for near, far in sorted(arrows.edges))


if __name__ == "__main__":
    draw(ROOT / "docs/packages.svg")
