"""Print environment.yml for conda and Binder from pyproject.toml and uv.lock.

Packages stand in the pip section at the lock's versions, so that conda users run exactly the files
that the lock names; conda itself brings Python and pip.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from packaging.markers import Marker

TOP = Path(__file__).resolve().parents[1]


def main() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = tomllib.loads((TOP / "uv.lock").read_text(encoding="utf-8"))
    python = (TOP / ".python-version").read_text(encoding="utf-8").strip()
    wanted = [re.split(r"[\s<>=!~;\[]", name)[0] for name in project["dependencies"]]
    print("# Made by `make lock` from pyproject.toml and uv.lock; a test holds the three together.")
    print(f"name: {project['name']}\nchannels:\n  - conda-forge\ndependencies:")
    print(f"  - python={python}\n  - pip\n  - pip:")
    for name in sorted(wanted):
        print(f"      - {name}=={locked(lock, name, python)}")
    print("      - -e .")


def locked(lock: dict[str, Any], name: str, python: str) -> str:
    """The version of a package that the lock gives to this Python."""
    setting = {"python_full_version": f"{python}.0", "sys_platform": "linux"}
    for package in lock["package"]:
        markers = package.get("resolution-markers", [])
        if package["name"] == name and (not markers or any(Marker(m).evaluate(setting) for m in markers)):
            return str(package["version"])
    raise SystemExit(f"{name} is not in uv.lock; run `make lock`")


if __name__ == "__main__":
    main()
