#!/usr/bin/env python3
"""Makes table, JSON and plot of what bench/suite measured.

    report.py RAW.json OUT_DIR [--doc docs/performance.md]

RAW.json is Google Benchmark's output with repetitions. OUT_DIR gets performance.json (medians and
quartiles), performance.svg, and performance.md (the tables), unless --doc puts these between the markers of
a file.
"""
import argparse
import json
import math
import pathlib
import platform
import re
import statistics
import sys

import svg

# Engines in the order of columns, with what readers call them.
ENGINES = {
    "native": "native",
    "kernel": "kernel JIT",
    "jit": "jit",
    "baseline": "baseline",
    "interp": "interpreter",
    "baseline_checked": "baseline, checked",
    "interp_checked": "interpreter, checked",
}
# Of programs that are over sooner, most of the time goes into calling them: not part of the means.
TINY_NS = 50
BEGIN, END = "<!-- tables: made by scripts/bench -->", "<!-- end of tables -->"


def quartiles(values: list[float]) -> dict:
    if len(values) == 1:
        return {"median": values[0], "q1": values[0], "q3": values[0]}
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "q1": q1, "q3": q3}


def collect(raw: dict) -> dict:
    """Program -> {"insns", "run": {engine: quartiles}, "load": {engine: {what: quartiles}}}."""
    samples: dict = {}
    insns = {}
    slots = {}
    for row in sorted(raw["benchmarks"], key=lambda row: row["family_index"]):
        if row["run_type"] != "iteration":
            continue
        kind, program, engine = row["name"].split("/")[:3]
        of = samples.setdefault(program, {"run": {}, "load": {}})[kind].setdefault(engine, {})
        if kind == "run":
            of.setdefault("ns", []).append(row["cpu_time"])
            insns[program] = int(row["insns"])
        else:
            slots[program] = int(row["slots"])
            for what in ("first_run_ns", "verify_ns", "compile_ns", "code_bytes"):
                of.setdefault(what, []).append(row[what])
    return {
        program: {
            "insns": insns[program],
            "slots": slots[program],
            "run": {engine: quartiles(of["ns"]) for engine, of in kinds["run"].items()},
            "load": {
                engine: {what: quartiles(values) for what, values in of.items()}
                for engine, of in kinds["load"].items()
            },
        }
        for program, kinds in samples.items()
    }


def time_of(program: dict, engine: str) -> float | None:
    return program["run"][engine]["median"] if engine in program["run"] else None


def geomean(values: list[float]) -> float:
    return math.exp(statistics.fmean(math.log(value) for value in values))


def mean_ratio(programs: dict, engine: str, other: str) -> float | None:
    ratios = [
        time_of(program, engine) / time_of(program, other)
        for program in programs.values()
        if engine in program["run"] and other in program["run"]
        and time_of(program, "native") >= TINY_NS
    ]
    return geomean(ratios) if ratios else None


def summary(programs: dict) -> dict:
    pairs = [(engine, "native") for engine in ENGINES if engine != "native"]
    pairs += [("jit", "kernel"), ("baseline", "kernel"), ("interp", "baseline")]
    means = {f"{a}/{b}": mean_ratio(programs, a, b) for a, b in pairs}
    per_insn = [
        time_of(program, "interp") / program["insns"]
        for program in programs.values()
        if time_of(program, "native") >= TINY_NS
    ]
    per_slot = [
        program["load"]["jit"]["compile_ns"]["median"] / program["slots"]
        for program in programs.values()
    ]
    return {
        "jit_compile_ns_per_slot": {"median": statistics.median(per_slot), "most": max(per_slot)},
        "geometric_means": {name: mean for name, mean in means.items() if mean is not None},
        "interpreter_ns_per_insn": geomean(per_insn),
        "programs_in_means": len(per_insn),
    }


def number(value: float | None, digits: int = 3) -> str:
    """With that many digits that matter, and without an exponent."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}" if decimals else f"{round(value, digits - 1 - math.floor(math.log10(abs(value)))):.0f}"


def ratio(a: float | None, b: float | None) -> str:
    return "-" if a is None or b is None else f"{a / b:.2f}"


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(program: dict) -> str:
    widest = max((of["q3"] - of["q1"]) / of["median"] for of in program["run"].values())
    return f"{widest * 100:.0f}%"


def run_table(programs: dict, engines: list[str], means: dict) -> str:
    header = ["ns per run"] + [ENGINES[engine] for engine in engines]
    header += ["jit / native", "jit / kernel", "spread"]
    rows = []
    for name, program in programs.items():
        jit = time_of(program, "jit")
        rows.append(
            [name]
            + [number(time_of(program, engine)) for engine in engines]
            + [ratio(jit, time_of(program, "native")),
               ratio(jit, time_of(program, "kernel")), spread(program)]
        )
    of_native = ["1"] + [f"{means[f'{engine}/native']:.2f}" for engine in engines[1:]]
    kernel = means.get("jit/kernel")
    rows.append(["**geometric mean / native**"] + [f"**{mean}**" for mean in of_native]
                + [f"**{means['jit/native']:.2f}**",
                   f"**{kernel:.2f}**" if kernel else "-", ""])
    return markdown_table(header, rows)


def median_table(title: str, programs: dict, columns: list[tuple[str, str, str, float]]) -> str:
    """Columns: header, engine, what of its load, unit."""
    def cells(name: str, program: dict) -> list[str]:
        loads = program["load"]
        return [name] + [(f"{loads[engine][what]['median']:.0f}" if unit == 1
                          else number(loads[engine][what]["median"] / unit))
                         for _, engine, what, unit in columns]
    means = [
        geomean([max(p["load"][engine][what]["median"] / unit, 0.001) for p in programs.values()])
        for _, engine, what, unit in columns
    ]
    rows = [cells(name, program) for name, program in programs.items()]
    rows.append(["**geometric mean**"] + [f"**{number(mean)}**" for mean in means])
    return markdown_table([title] + [column[0] for column in columns], rows)


def code_table(programs: dict, engines: list[str]) -> str:
    compiled = [e for e in engines if e in ("kernel", "jit", "baseline", "baseline_checked")]
    columns = [(f"{ENGINES[e]}: bytes", e, "code_bytes", 1) for e in compiled]
    columns += [(f"{ENGINES[e]}: us", e, "compile_ns", 1000) for e in compiled]
    return median_table("machine code", programs, columns)


def load_table(programs: dict, engines: list[str]) -> str:
    loaded = [e for e in engines if e != "native"]
    columns = [("verify: kernel" if e == "kernel" else "verify: ours", e, "verify_ns", 1000)
               for e in loaded if e in ("kernel", "jit")]
    columns += [(f"first run: {ENGINES[e]}", e, "first_run_ns", 1000) for e in loaded]
    return median_table("us", programs, columns)


def host_line(raw: dict) -> str:
    match = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    cpu = match[1] if match else platform.machine()
    virtual = ", virtual machine" if "hypervisor" in pathlib.Path("/proc/cpuinfo").read_text() else ""
    release = re.match(r"\d+\.\d+", platform.release())
    kernel = raw["context"].get("kernel", "yes")
    words = f"Linux {release[0] if release else '?'}" + ("" if kernel == "yes" else f" ({kernel})")
    return (f"{raw['context']['date'][:10]}, {cpu} at {raw['context']['mhz_per_cpu']} MHz, "
            f"{raw['context']['num_cpus']} CPUs{virtual}, {words}, {raw['context'].get('clang', 'clang')}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("raw", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--doc", type=pathlib.Path)
    arguments = parser.parse_args()

    raw = json.loads(arguments.raw.read_text())
    programs = collect(raw)
    host = host_line(raw)
    engines = [engine for engine in ENGINES if all(engine in p["run"] for p in programs.values())]
    result = {"host": host, **summary(programs), "programs": programs}
    means = result["geometric_means"]

    tables = "\n\n".join([
        f"Measured on {host}.",
        "### Time of a run",
        run_table(programs, engines, means),
        "### Machine code: size, and time to make it",
        code_table(programs, engines),
        "### Verification, and time to the first result",
        load_table(programs, engines),
    ]) + "\n"
    arguments.out.mkdir(parents=True, exist_ok=True)
    compact = json.dumps(result, indent=1, default=float)
    (arguments.out / "performance.json").write_text(
        re.sub(r"\d+\.\d{4,}", lambda found: f"{float(found[0]):.4g}", compact) + "\n")
    (arguments.out / "performance.svg").write_text(svg.plot(programs, means, ENGINES, TINY_NS, host))
    if arguments.doc:
        text = arguments.doc.read_text()
        begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
        arguments.doc.write_text(f"{text[:begin]}\n\n{tables}\n{text[end:]}")
    else:
        (arguments.out / "performance.md").write_text(tables)

    print(tables)
    for name, mean in means.items():
        print(f"{name}: {mean:.2f}")
    print(f"interpreter: {result['interpreter_ns_per_insn']:.2f} ns per insn")
    per_slot = result["jit_compile_ns_per_slot"]
    print(f"compile time of jit: {per_slot['median']:.0f} ns per insn in the median, {per_slot['most']:.0f} at most")
    if "kernel" not in engines:
        print(f"no column of the kernel: {raw['context'].get('kernel')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
