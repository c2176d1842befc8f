"""Clusters for people: the matrix of similarities and the dendrogram, in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from orchestrator.evaluation.report.data import Clustering
from orchestrator.evaluation.report.formats import DASH, plain, short

MAX_COLUMNS = 16


def similarity_table(clustering: Clustering) -> Table:
    """Cosines of all pairs, in the order of the clusters; bold: at least the threshold. Wide matrices are cut."""
    order = [name for cluster in clustering.clusters for name in cluster]
    place = {name: index for index, name in enumerate(clustering.experts)}
    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left")
    compared = ", ".join(sorted(set(clustering.compared)))
    table.title = Text(f"Cosine of {compared}, averaged over columns and tensors", style="dim")
    table.add_column("Expert", no_wrap=True)
    for name in order[:MAX_COLUMNS]:
        table.add_column(Text(short(plain(name), 12)), justify="right")
    for row in order:
        values = [clustering.values[place[row]][place[column]] for column in order[:MAX_COLUMNS]]
        cells = [_cell(value, clustering.threshold) for value in values]
        table.add_row(Text(plain(row)), *cells)
    return table


def _cell(value: float | None, threshold: float) -> Text:
    if value is None:
        return Text(DASH, style="dim")
    return Text(f"{value:.3f}".replace("-", "−"), style="bold" if value >= threshold else "")


def dendrogram(clustering: Clustering, width: int = 60) -> Text:
    """A line an expert; each fork is drawn where its similarity lies between 1 (left) and the least alike fork."""
    if not clustering.forks:
        return Text("")
    lowest = min(*(fork.similarity for fork in clustering.forks), clustering.threshold)
    span = max(1 - lowest, 1e-9)
    columns = max(10, width - 24)

    def column(similarity: float) -> int:
        return min(columns - 1, max(0, round((1 - similarity) / span * (columns - 1))))

    order = dendrogram_order(clustering)
    row_of = {name: row for row, name in enumerate(order)}
    grid = [[" "] * columns for _ in order]
    reach: dict[tuple[str, ...], tuple[int, int]] = {(name,): (row_of[name], 0) for name in order}
    for fork in clustering.forks:
        (top, a), (bottom, b) = sorted((reach[tuple(fork.left)], reach[tuple(fork.right)]))
        at = min(columns - 1, max(column(fork.similarity), a + 1, b + 1))
        for row, start in ((top, a), (bottom, b)):
            for x in range(start, at):
                grid[row][x] = "─" if grid[row][x] == " " else grid[row][x]
        grid[top][at], grid[bottom][at] = "┐", "┘"
        for row in range(top + 1, bottom):
            grid[row][at] = "┼" if grid[row][at] == "─" else "│"
        reach[tuple(sorted((*fork.left, *fork.right)))] = (top, at)
        grid[top][at] = "┬" if at + 1 < columns and fork is not clustering.forks[-1] else "┐"
    mark = column(clustering.threshold)
    text = Text(no_wrap=True)
    for name, line in zip(order, grid, strict=True):
        text.append(f"{short(plain(name), 22):>22} ")
        text.append("".join(line).rstrip() + "\n")
    text.append(f"{f'threshold {clustering.threshold:g}':>22} " + " " * mark + "↑", style="dim")
    return text


def dendrogram_order(clustering: Clustering) -> Sequence[str]:
    """Experts so that the groups of every fork stand together."""
    groups: dict[tuple[str, ...], list[str]] = {(name,): [name] for name in clustering.experts}
    for fork in clustering.forks:
        joined = groups.pop(tuple(fork.left)) + groups.pop(tuple(fork.right))
        groups[tuple(sorted((*fork.left, *fork.right)))] = joined
    return [name for group in groups.values() for name in group]
