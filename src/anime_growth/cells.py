"""Raw cells: how they are addressed, and how far their rows are trusted."""

from typing import Any
from urllib.parse import parse_qsl

# A row's confidence, the least first.
CONFIDENCE = ("low", "medium", "high")


def address(raw_row: str, column: str) -> str:
    """Address of one raw cell: `<file below data/raw>?<key>=<value>&…#<column>`."""
    return f"{raw_row}#{column}"


def parse(cell: str) -> dict[str, Any]:
    """The parts of a cell's address.

    >>> parse("aja/2025/aja_market_best.csv?year=2024#broad_total")
    {'file': 'aja/2025/aja_market_best.csv', 'row': {'year': '2024'}, 'column': 'broad_total'}
    """
    file_and_row, column = cell.rsplit("#", 1)
    file, row = file_and_row.split("?", 1)
    return {"file": file, "row": dict(parse_qsl(row, keep_blank_values=True)), "column": column}


def is_address(name: str) -> bool:
    """Whether the input of a quantity is a raw cell, not the key of another quantity."""
    return "?" in name
