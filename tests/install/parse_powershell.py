"""Exits with 1 and names the places when a PowerShell script does not parse: parse_powershell.py FILE."""

import sys

import tree_sitter
import tree_sitter_powershell


def faults(node):
    """The innermost nodes that the grammar could not make sense of."""
    if node.is_missing or (node.is_error and not any(child.has_error for child in node.children)):
        yield node
    elif node.has_error:
        for child in node.children:
            yield from faults(child)


def main(path):
    with open(path, "rb") as file:
        source = file.read()
    language = tree_sitter.Language(tree_sitter_powershell.language())
    tree = tree_sitter.Parser(language).parse(source)
    for node in faults(tree.root_node):
        line, column = node.start_point
        print(f"{path}:{line + 1}:{column + 1}: {node.text.decode(errors='replace')[:80]!r}")
    return int(tree.root_node.has_error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
