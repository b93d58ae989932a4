"""`python -m checks.licences`: prints docs/licences.md as it should be."""

from pathlib import Path

from checks.licences.page import page

if __name__ == "__main__":
    print(page(Path(__file__).parents[2]), end="")
