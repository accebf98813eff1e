"""HTML and SVG as trees: text is escaped where it is written, whatever it holds."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from nettop.text.clean import clean

Child = ET.Element | str
Attribute = str | int | float


def tag(name: str, /, *children: Child, **attributes: Attribute) -> ET.Element:
    """An element; class_ is written class, and _ in other names -."""
    names = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    element = ET.Element(name, {key: _written(value) for key, value in names.items()})
    for child in children:
        add(element, child)
    return element


def add(element: ET.Element, child: Child) -> None:
    """Behind what it has."""
    if isinstance(child, ET.Element):
        element.append(child)
        return
    text = clean(child)
    if len(element):
        element[-1].tail = (element[-1].tail or "") + text
    else:
        element.text = (element.text or "") + text


def _written(value: Attribute) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return clean(str(value))


def document(root: ET.Element) -> str:
    """All of an HTML file."""
    return "<!DOCTYPE html>\n" + ET.tostring(root, encoding="unicode", method="html") + "\n"
