"""results.md and performance.svg, from what the parts have saved."""
import json, os
from xml.sax.saxutils import escape


def load(build, parts):
    found = []
    for name in parts:
        path = os.path.join(build, "results", name + ".json")
        if os.path.exists(path):
            with open(path) as f:
                found.append(json.load(f))
    return found


# --- the table --------------------------------------------------------------------------------------

def markdown_table(columns, rows):
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def verdict_row(verdict):
    return [verdict["text"], "%.2f" % verdict["value"],
            ("≤ " if verdict["most"] else "≥ ") + "%.4g" % verdict["wanted"], "yes" if verdict["met"] else "**no**"]


def write_table(path, parts):
    lines = ["# Results of the benchmark", "",
             "Made by `sh tests/bench/run.sh`. xferfs is measured from `echo 1 > resume` until `echo 1 > complete` has",
             "returned, with the data durable; the others with the sync of what they wrote. Medians; the cases of a",
             "table ran in turns, within one run. \"xferfs is 2.00 ×\" means: twice as fast as that program.", "",
             "## What was to be reached", ""]
    lines += markdown_table(["", "measured", "wanted", "met"], [verdict_row(v) for p in parts for v in p["verdicts"]])
    for part in parts:
        lines += ["", "## " + part["title"], "",
                  "%s, %s%s, rounds: %d." % (part["date"], part["machine"], ", quick" if part["quick"] else "", part["rounds"])]
        for table in part["tables"]:
            lines += ["", "### " + table["title"], ""] + markdown_table(table["columns"], table["rows"])
            lines += ["", table["note"]] if table["note"] else []
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")


# --- the picture ------------------------------------------------------------------------------------

STYLE = """
	text { font: 13px system-ui, sans-serif; fill: #1f2328; }
	.title { font-weight: 600; font-size: 14px; }
	.note, .value { fill: #59636e; }
	.bar { fill: #afb8c1; } .ours { fill: #0969da; }
	.name-ours { font-weight: 600; }
	@media (prefers-color-scheme: dark) {
		text { fill: #f0f6fc; } .note, .value { fill: #9198a1; }
		.bar { fill: #59636e; } .ours { fill: #4493f8; }
	}
"""
PANEL, ROW, NAMES, BARS, HEAD, GAP = 430, 22, 140, 200, 30, 20


def panel(x, y, bars):
    """One chart, the best on top; the longest bar fills the width."""
    better = bars["better"]
    items = sorted(bars["values"].items(), key=lambda item: item[1], reverse=better == "more")
    most = max(value for _, value in items)
    out = ['<text class="title" x="%d" y="%d">%s</text>' % (x, y + 14, escape(bars["title"])),
           '<text class="note" x="%d" y="%d" text-anchor="end">%s, %s is better</text>' % (x + PANEL, y + 14, bars["unit"], better)]
    for i, (name, value) in enumerate(items):
        top, ours = y + HEAD + i * ROW, name.startswith("xferfs")
        out += ['<text x="%d" y="%d" text-anchor="end"%s>%s</text>'
                % (x + NAMES - 8, top + 13, ' class="name-ours"' if ours else "", escape(name)),
                '<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>'
                % ("bar ours" if ours else "bar", x + NAMES, top, max(1, BARS * value / most), ROW - 6),
                '<text class="value" x="%.1f" y="%d">%s</text>'
                % (x + NAMES + BARS * value / most + 6, top + 13, ("{:,.0f}" if value >= 100 else "{:.2f}").format(value))]
    return out, HEAD + len(items) * ROW


def write_picture(path, parts):
    out, y = [], GAP
    charts = [bars for part in parts for bars in part["bars"]]
    for i in range(0, len(charts), 2):
        heights = []
        for column, bars in enumerate(charts[i:i + 2]):
            lines, height = panel(GAP + column * (PANEL + 2 * GAP), y, bars)
            out += lines
            heights.append(height)
        y += max(heights) + GAP
    with open(path, "w") as f:
        f.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="xferfs beside its peers">\n'
                % (2 * PANEL + 4 * GAP, y))
        f.write("<style>%s</style>\n%s\n</svg>\n" % (STYLE, "\n".join(out)))


def write(build, names):
    parts = load(build, names)
    write_table(os.path.join(build, "results.md"), parts)
    write_picture(os.path.join(build, "performance.svg"), parts)
    print(os.path.join(build, "results.md"))
