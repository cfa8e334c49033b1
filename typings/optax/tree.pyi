"""Arithmetic of pytrees of the same structure."""

from typing import Any, TypeVar

Tree = TypeVar("Tree")

def add(tree_x: Tree, tree_y: Tree, *other_trees: Tree) -> Tree: ...
def __getattr__(name: str) -> Any: ...
