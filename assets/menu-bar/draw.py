#!/usr/bin/env python3
"""Draws the menu bar's template images (black and transparent, 44 by 44: 22 points on a Retina display) with rsvg-convert.

Three connected stars. While training, a ring around them shows the progress of the lease. Two bars mean paused, and an
exclamation mark means that attention is needed. Run the script in this folder and commit the images.
"""

import math
import subprocess

EIGHTHS = 8
STARS = [(12, 29, 4.2), (22, 14, 5.0), (33, 25, 4.2)]


def main():
    draw("waiting", stars(0.95))
    draw("paused", stars(0.4) + bars())
    draw("attention", stars(0.75) + mark())
    for eighth in range(EIGHTHS + 1):
        draw(f"training-{eighth}", scaled(stars(1)) + ring(eighth / EIGHTHS))


def stars(opacity):
    points = " ".join(f"{x},{y}" for x, y, _ in STARS)
    lines = f'<polyline points="{points}" fill="none" stroke="black" stroke-width="2.2"/>'
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="{r}"/>' for x, y, r in STARS)
    return f'<g opacity="{opacity}">{lines}{dots}</g>'


def scaled(inner):
    return f'<g transform="translate(22 22) scale(0.72) translate(-22.5 -21.5)">{inner}</g>'


def ring(share):
    track = '<circle cx="22" cy="22" r="19.5" fill="none" stroke="black" stroke-width="2.6" opacity="0.28"/>'
    length = 2 * math.pi * 19.5
    arc = (
        f'<circle cx="22" cy="22" r="19.5" fill="none" stroke="black" stroke-width="3" transform="rotate(-90 22 22)" '
        f'stroke-dasharray="{length * share:.2f} {length:.2f}"/>'
    )
    return track + (arc if share else "")


def bars():
    return '<rect x="27" y="27" width="5" height="15" rx="1.5"/><rect x="36" y="27" width="5" height="15" rx="1.5"/>'


def mark():
    return '<rect x="34" y="24" width="5" height="11" rx="2.5"/><circle cx="36.5" cy="39.5" r="2.9"/>'


def draw(name, inner):
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="44" height="44" viewBox="0 0 44 44">{inner}</svg>'
    subprocess.run(["rsvg-convert", "-w", "44", "-h", "44", "-o", f"{name}.png"], input=svg.encode(), check=True)


if __name__ == "__main__":
    main()
