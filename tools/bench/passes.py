#!/usr/bin/env python3
"""What each pass of the optimising tier buys: a table from `suite --passes`.

    passes.py RAW.json [--doc docs/jit.md]
"""
import argparse
import json
import pathlib

import report

BEGIN, END = "<!-- passes: made by scripts/bench --passes -->", "<!-- end of passes -->"
SHOWN = 3  # programs that a pass does most for


def table(programs: dict) -> str:
    rows = []
    names = [e for e in next(iter(programs.values()))["run"] if e.startswith("without_")]
    for engine in names:
        gains = {
            name: report.time_of(program, engine) / report.time_of(program, "jit")
            for name, program in programs.items()
            if report.time_of(program, "native") >= report.TINY_NS
        }
        size, compile_time = (
            report.geomean([p["load"][engine][what]["median"] / p["load"]["jit"][what]["median"]
                            for p in programs.values()])
            for what in ("code_bytes", "compile_ns"))
        best = sorted(gains, key=gains.get, reverse=True)[:SHOWN]
        most = ", ".join(f"{name} {gains[name]:.2f}" for name in best if gains[name] >= 1.05)
        rows.append([f"`{engine.removeprefix('without_')}`", f"{report.geomean(list(gains.values())):.3f}",
                     most or "-", f"{min(gains.values()):.2f}", f"{size:.2f}", f"{compile_time:.2f}"])
    header = ["without", "time of a run", "most for", "least", "code size", "compile time"]
    return report.markdown_table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("raw", type=pathlib.Path)
    parser.add_argument("--doc", type=pathlib.Path)
    arguments = parser.parse_args()
    raw = json.loads(arguments.raw.read_text())
    text = f"Measured on {report.host_line(raw)}.\n\n{table(report.collect(raw))}\n"
    print(text)
    if arguments.doc:
        page = arguments.doc.read_text()
        begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
        arguments.doc.write_text(f"{page[:begin]}\n\n{text}\n{page[end:]}")


if __name__ == "__main__":
    main()
