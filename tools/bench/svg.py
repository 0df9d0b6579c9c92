"""A plot by hand: bars per program on a logarithmic axis, time relative to native code."""
import math

COLOURS = {"kernel": "#8c6bb1", "jit": "#1b7837", "baseline": "#2b7bba", "interp": "#e08214"}
TICKS = [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]
LEFT, RIGHT, TOP = 120, 60, 76
WIDTH = 900
BAR, GAP = 6, 5


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plot(programs: dict, means: dict, names: dict, tiny_ns: float, host: str) -> str:
    """`means` has the geometric means "ENGINE/native"; tiny programs are marked."""
    engines = [engine for engine in COLOURS if f"{engine}/native" in means]
    rows = [("geometric mean", {engine: means[f"{engine}/native"] for engine in engines}, True)]
    for name, program in programs.items():
        native = program["run"]["native"]["median"]
        times = {engine: program["run"][engine]["median"] / native for engine in engines}
        rows.append((name + (" *" if native < tiny_ns else ""), times, False))

    low = min(min(times.values()) for _, times, _ in rows) * 0.9
    high = max(max(times.values()) for _, times, _ in rows) * 1.1
    scale = (WIDTH - LEFT - RIGHT) / math.log(high / low)
    row_height = len(engines) * BAR + GAP
    height = TOP + len(rows) * row_height + 50
    bottom = TOP + len(rows) * row_height

    def x(value: float) -> float:
        return LEFT + math.log(value / low) * scale

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="11" fill="#222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{LEFT}" y="22" font-size="15">Time of a run, native code = 1 '
        "(logarithmic; shorter is better)</text>",
    ]
    at = LEFT
    for engine in engines:
        out.append(f'<rect x="{at}" y="34" width="12" height="10" fill="{COLOURS[engine]}"/>')
        out.append(f'<text x="{at + 17}" y="43">{escape(names[engine])}</text>')
        at += 110
    for tick in TICKS:
        if low <= tick <= high:
            colour = "#555" if tick == 1 else "#ddd"
            out.append(f'<line x1="{x(tick):.1f}" y1="{TOP - 6}" x2="{x(tick):.1f}" y2="{bottom}" '
                       f'stroke="{colour}"/>')
            out.append(f'<text x="{x(tick):.1f}" y="{TOP - 10}" text-anchor="middle">{tick:g}</text>')
    for row, (name, times, is_mean) in enumerate(rows):
        top = TOP + row * row_height
        weight = ' font-weight="bold"' if is_mean else ""
        if is_mean:
            out.append(f'<rect x="0" y="{top - 2}" width="{WIDTH}" height="{row_height}" '
                       'fill="#222" fill-opacity="0.06"/>')
        middle = top + len(engines) * BAR / 2 + 4
        out.append(f'<text x="{LEFT - 8}" y="{middle:.1f}" text-anchor="end"{weight}>{escape(name)}</text>')
        for i, engine in enumerate(engines):
            begin, end = sorted((x(1), x(times[engine])))
            out.append(f'<rect x="{begin:.1f}" y="{top + i * BAR}" width="{max(end - begin, 0.8):.1f}" '
                       f'height="{BAR - 1}" fill="{COLOURS[engine]}">'
                       f"<title>{escape(name)}, {escape(names[engine])}: {times[engine]:.2f}</title></rect>")
            if is_mean or times[engine] >= 2:
                out.append(f'<text x="{max(end, x(1)) + 3:.1f}" y="{top + i * BAR + BAR:.1f}" '
                           f'font-size="7"{weight}>{times[engine]:.2f}</text>')
    out.append(f'<text x="{LEFT}" y="{bottom + 20}" font-size="10">* over within {tiny_ns} ns of native '
               "code: a matter of call overhead, not part of the means</text>")
    out.append(f'<text x="{LEFT}" y="{bottom + 36}" font-size="10">{escape(host)}</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"
