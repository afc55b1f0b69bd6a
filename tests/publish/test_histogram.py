"""The histogram: its bars are as high as the counts, and the band is where it is."""

from __future__ import annotations

from xml.etree import ElementTree

from curate.publish import histogram

SVG = "{http://www.w3.org/2000/svg}"


def drawn(counts: list[int], kept: list[int], low: float, high: float) -> dict[str, list[dict[str, float]]]:
    """Rectangles and lines by their class."""
    found: dict[str, list[dict[str, float]]] = {}
    for shape in ElementTree.fromstring(histogram.draw(counts, kept, low, high)):
        name = shape.get("class")
        if name and shape.tag in (f"{SVG}rect", f"{SVG}line"):
            numbers = {key: float(value) for key, value in shape.attrib.items() if key != "class"}
            found.setdefault(name, []).append(numbers)
    return found


def test_bars_are_as_high_as_their_counts_and_stand_on_one_line() -> None:
    shapes = drawn([10, 0, 5, 20], [0, 0, 5, 4], 0.5, 1.0)
    # The last one of each class is the legend's.
    bars, kept = shapes["all"][:-1], shapes["kept"][:-1]
    assert [round(bar["height"] / bars[0]["height"], 2) for bar in bars] == [1.0, 0.5, 2.0], "no bar for 0"
    assert [round(bar["height"] / bars[0]["height"], 2) for bar in kept] == [0.5, 0.4]
    feet = {round(bar["y"] + bar["height"], 0) for bar in bars + kept}
    assert feet == {shapes["line"][0]["y1"]}


def test_the_band_covers_its_share_of_the_axis() -> None:
    shapes = drawn([1] * 20, [0] * 20, 0.2, 0.8)
    axis = shapes["line"][0]
    width = axis["x2"] - axis["x1"]
    band = shapes["band"][0]
    assert round((band["x"] - axis["x1"]) / width, 2) == 0.2
    assert round(band["width"] / width, 2) == 0.6
    assert [round((edge["x1"] - axis["x1"]) / width, 2) for edge in shapes["edge"]] == [0.2, 0.8]
    inside = [bar for bar in shapes["all"][:-1] if band["x"] <= bar["x"] <= band["x"] + band["width"]]
    assert len(inside) == 12


def test_nothing_measured_draws_no_bar() -> None:
    shapes = drawn([0] * 20, [0] * 20, 0.0, 1.0)
    assert (len(shapes["all"]), len(shapes["kept"])) == (1, 1)


def test_both_colour_schemes_have_ink_on_a_page_of_their_own() -> None:
    style = ElementTree.fromstring(histogram.draw([1], [1], 0.2, 0.8)).findtext(f"{SVG}style") or ""
    light, _, dark = style.partition("@media (prefers-color-scheme:dark)")
    for name in (".page", ".ink", ".all", ".kept", ".band", ".edge"):
        assert name in light
        assert name in dark
