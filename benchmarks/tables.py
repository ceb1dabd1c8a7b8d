"""Aligned tables for the terminal."""

from collections.abc import Sequence


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
