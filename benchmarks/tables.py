"""Aligned tables for the terminal."""

from collections.abc import Sequence

from record import Row


def aligned(lines: Sequence[str | Sequence[str]], left: int = 1, indent: str = "") -> str:
    """Pads cells to columns; a plain string is a title on a line of its own.

    Args:
        lines: titles and rows of equally many cells.
        left: number of columns that are aligned to the left; the others are to the right.
        indent: in front of each row.

    Example:
        >>> print(aligned(["sizes", ["name", "ms"], ["a", "12.5"]], indent="  "))
        sizes
          name    ms
          a     12.5
    """
    rows = [line for line in lines if not isinstance(line, str)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def text(line: str | Sequence[str]) -> str:
        if isinstance(line, str):
            return line
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return (indent + "  ".join(cells)).rstrip()

    return "\n".join(map(text, lines))


def table_of(rows: Sequence[Row]) -> str:
    """A title for each case, a line for each contender and its reference, a column for each metric.

    Example:
        >>> ours = Row("1 query", "ours", "ms", 2.0, "torch", 1.5, 1.4, 1.75)
        >>> print(table_of([ours, Row("1 query", "ours", "MB", 1234.5), Row("1 query", "torch", "ms", 3.0)]))
                        ms     MB  ratio    (quartiles)
        1 query
          ours / torch   2  1,234    1.5  (1.4 to 1.75)
          torch          3
    """
    metrics = list(dict.fromkeys(row.metric for row in rows))
    lines: dict[str, list[dict[str, Row]]] = {}
    for row in rows:
        of_case = lines.setdefault(row.case, [])
        for line in of_case:
            own = next(iter(line.values()))
            free = row.metric not in line and not (row.ratio and any(r.ratio for r in line.values()))
            if own.contender == row.contender and free:
                line[row.metric] = row
                break
        else:
            of_case.append({row.metric: row})
    compared = ["ratio", "(quartiles)"] if any(row.ratio for row in rows) else []
    cells: list[str | list[str]] = [["", *metrics, *compared]]
    for case, of_case in lines.items():
        cells.append(case)
        for line in of_case:
            first = next((row for row in line.values() if row.ratio), next(iter(line.values())))
            values = [short(line[metric].value) if metric in line else "" for metric in metrics]
            ratio = short(first.ratio) if first.ratio else ""
            spread = f"({short(first.low)} to {short(first.high)})" if first.low and first.high else ""
            cells.append([f"  {first.name}", *values, *(ratio, spread)[: len(compared)]])
    return aligned(cells)


def short(value: float) -> str:
    """Three digits, or all of an integer part.

    Example:
        >>> short(0.01234), short(12.34), short(123456.7)
        ('0.0123', '12.3', '123,457')
    """
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
