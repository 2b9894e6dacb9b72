#!/usr/bin/env python3
"""Draws the pictures of this folder anew, from a trace: the report as HTML, and the screens of the terminal.

    docs/pictures/draw.py PROGRAMS NAME.krcu

PROGRAMS is the folder with krcu-analyze and krcu-tui. It needs tmux, which shows the terminal at its size, chromium, which takes
the pictures, and fonts-symbola; all are in the Debian archive. The host in the report is replaced, and nothing else.
"""

import html
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS, TRACE = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
HERE = Path(__file__).resolve().parent
# Width, height, light or dark.
PAGES = [(1280, 1000, "light"), (1280, 1000, "dark"), (420, 900, "light"), (420, 900, "dark")]
# Columns, rows, the keys that lead to the screen, its name.
SCREENS = [
    (80, 24, ["$", "4"], "verdicts"),
    (120, 40, ["$", "1"], "overview"),
    (200, 60, ["$", "4", "Down", "Down", "Enter"], "evidence"),
]
COLOURS = ["#1d2430", "#e06c75", "#7fc28a", "#e5c07b", "#6aa5e8", "#c493dd", "#56b6c2", "#d7dce4"]
BRIGHT = ["#6d7785", "#ff8b92", "#a5e0ae", "#ffdf9e", "#9cc8ff", "#dfb4f2", "#8ad9e3", "#ffffff"]


def shot(page, width, height, scheme, target):
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else ["--blink-settings=preferredColorScheme=1"]
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *dark,
               f"--window-size={width},{height}", f"--screenshot={target}", f"file://{page}"]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    print(target.name)


def colour(words, foreground):
    """The colour that the parameters of an escape sequence choose."""
    base = 30 if foreground else 40
    for place, word in enumerate(words):
        if word == base + 8 and words[place + 1:place + 2] == [5]:
            number = words[place + 2]
            return (COLOURS + BRIGHT)[number] if number < 16 else "#9aa7b8"
        if base <= word < base + 8:
            return COLOURS[word - base]
        if base + 60 <= word < base + 68:
            return BRIGHT[word - base - 60]
    return None


def page_of(text, columns, rows):
    """What tmux captured, as a page of that many columns and rows."""
    lines = []
    for line in text.splitlines():
        style, cells = {}, []
        for part in re.split(r"(\x1b\[[0-9;]*m)", line):
            if part.startswith("\x1b["):
                words = [int(word or 0) for word in part[2:-1].split(";")]
                if 0 in words:
                    style = {}
                style |= {name: value for name, value in (
                    ("color", colour(words, True)), ("background", colour(words, False)),
                    ("font-weight", "bold" if 1 in words else None), ("opacity", "0.65" if 2 in words else None),
                    ("reverse", "yes" if 7 in words else None)) if value}
            elif part:
                shown = dict(style)
                if shown.pop("reverse", None):
                    front, back = shown.get("color", "#d7dce4"), shown.get("background", "#14181f")
                    shown |= {"color": back, "background": front}
                css = ";".join(f"{name}:{value}" for name, value in shown.items())
                cells.append(f'<span style="{css}">{html.escape(part)}</span>')
        lines.append("".join(cells))
    body = "\n".join(lines)
    return (f'<!DOCTYPE html><meta charset="utf-8"><body style="margin:0;background:#14181f">'
            f'<pre style="margin:8px;color:#d7dce4;font:14px/17px DejaVu Sans Mono,Symbola,monospace">{body}</pre>')


def screen(columns, rows, keys, folder):
    name = f"krcu-{columns}"
    tmux = ["tmux", "-L", "krcu-pictures", "-f", "/dev/null"]
    subprocess.run([*tmux, "new-session", "-d", "-s", name, "-x", str(columns), "-y", str(rows),
                    f"TERM=xterm-256color {PROGRAMS}/krcu-tui --replay {TRACE}"], check=True)
    subprocess.run([*tmux, "set", "-g", "status", "off"], check=True)
    subprocess.run([*tmux, "resize-window", "-t", name, "-x", str(columns), "-y", str(rows)], check=True)
    time.sleep(4)
    for key in keys:
        subprocess.run([*tmux, "send-keys", "-t", name, key], check=True)
        time.sleep(2)
    text = subprocess.run([*tmux, "capture-pane", "-p", "-e", "-t", name], check=True, capture_output=True, text=True).stdout
    subprocess.run([*tmux, "kill-session", "-t", name], check=True)
    page = folder / f"{name}.html"
    page.write_text(page_of(text, columns, rows))
    return page


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for columns, rows, keys, what in SCREENS:
            page = screen(columns, rows, keys, folder)
            shot(page, int(columns * 8.43) + 20, rows * 17 + 16, "dark", HERE / f"tui-{what}-{columns}x{rows}.png")
        report = folder / "report.html"
        subprocess.run([PROGRAMS / "krcu-analyze", "report", TRACE, "-o", report], check=True)
        report.write_text(re.sub(r"(<dt>host</dt><dd>)[^<]*", r"\1farm-7", report.read_text()))
        for width, height, scheme in PAGES:
            shot(report, width, height, scheme, HERE / f"report-{width}-{scheme}.png")


main()
