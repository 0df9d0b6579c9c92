#!/usr/bin/env python3
"""Two verifiers on the same programs: the running kernel's and ours.

Started by scripts/kernel-parity, which builds everything; docs/parity.md tells what the figures mean.
Exit code 1: a difference that docs/parity.md does not list, or a program we cannot read.
"""
import argparse
import collections
import concurrent.futures
import fnmatch
import json
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

from features import features_of, read_bpft

RAW = "test_verifier"
JOBS = 2
BATCH_SECONDS, PROGRAM_SECONDS = 600, 60

# Messages that tell of this kernel or machine, not of the program.
ENVIRONMENT = [
    ("CO-RE: the kernel lacks the type or field", r"unknown#195896080|CO-RE relocation"),
    ("map the kernel cannot create", r"unknown#2001\d{6}"),
    ("kernel function or variable missing", r"unknown#2002\d{6}|kernel btf_id \d+ is not a function"),
    ("attach target", r"attach_btf_id|[Aa]ttach to|can only be attached|is not modifiable|Cannot replace|trampoline|"
                      r"FENTRY/FEXIT|Only fentry/fexit|is not in the kernel|address of function"),
]
# What libbpf says when nothing comes to the verifier.
LIBBPF = [
    ("struct_ops of a test module", r"struct_ops"),
    ("kernel function or variable missing", r"func ksym|kfunc|ksym\)|extern"),
    ("attach target", r"failed to find (kernel )?BTF|attach target|attach_btf"),
    ("map the kernel cannot create", r"failed to create"),
    ("relocation", r"relo"),
]


def first_match(table, text):
    return next((reason for reason, pattern in table if re.search(pattern, text)), None)


def kernel_verdict(line):
    """accept or reject; or none, and why the kernel did not judge the program."""
    if not line["reached"]:
        return "none", first_match(LIBBPF, line.get("message", "")) or "not loaded by libbpf"
    if line["error"] == 0:
        return "accept", ""
    if not line["why"]:
        return "none", f"refused before the verifier (errno {line['error']})"
    reason = first_match(ENVIRONMENT, line["why"])
    return ("none", reason) if reason else ("reject", line["why"])


def json_lines(text):
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            print(f"cannot read: {line[:200]}", file=sys.stderr)


class Session:
    def __init__(self, options):
        self.options = options
        self.out = pathlib.Path(options.out)
        self.tools = self.out / "tools"
        self.unread = [] # objects that libbpf cannot open
        object_glob, _, program_glob = options.only.partition("/")
        self.object_glob, self.program_glob = object_glob, program_glob or "*"

    def objects(self):
        names = sorted(path.name.removesuffix(".bpf.o") for path in (self.out / "objects").glob("*.bpf.o"))
        return [name for name in names + [RAW] if fnmatch.fnmatch(name, self.object_glob)]

    def ask_kernel(self, name, directory):
        loads = str(self.options.loads)
        if name == RAW:
            command = [self.tools / "judge_raw", loads, directory]
        else:
            command = [self.tools / "judge", "-r", loads, "-o", directory, "-p", self.program_glob,
                       self.out / "objects" / f"{name}.bpf.o"]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            self.unread.append(f"{name}: {' '.join(done.stderr.split())[:160]}")
        lines = list(json_lines(done.stdout))
        for line in lines:
            stem = str(line["number"]) if name == RAW else line["prog"]
            line["file"] = str(directory / f"{stem}.bpft")
        return [line for line in lines if fnmatch.fnmatch(line["prog"], self.program_glob)]

    def verify(self, files, seconds):
        """The lines by file, each with its shortest time: as with the kernel, each program several times in a row."""
        command = [self.options.ebpfvm, "verify", "--json", "--repeat", str(self.options.loads), *files]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return {}, "timeout"
        found = {line["object"]: line for line in json_lines(done.stdout)}
        return found, "" if done.returncode in (0, 1) else f"exit code {done.returncode}: {done.stderr[-200:]}"

    def ask_ourselves(self, files):
        found = self.verify(files, BATCH_SECONDS)[0] if files else {}
        for file in files:
            if file not in found: # it, or one before it, was trouble
                alone, trouble = self.verify([file], PROGRAM_SECONDS)
                found[file] = alone.get(file, {"verdict": "error", "message": trouble or "no answer"})
        return found

    def judge(self, name):
        directory = self.out / "programs" / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        kernel = self.ask_kernel(name, directory)
        files = [line["file"] for line in kernel if pathlib.Path(line["file"]).exists()]
        ours = self.ask_ourselves(files)
        return [self.program(name, line, ours.get(line["file"])) for line in kernel]

    @staticmethod
    def program(name, kernel, ours):
        verdict, why = kernel_verdict(kernel)
        program = {
            "object": name, "prog": kernel["prog"].replace("|", "/"), "file": kernel["file"],
            "expect": kernel["expect"], "retval": kernel.get("retval", ""),
            "kernel": verdict, "kernel_why": why, "kernel_us": kernel["verify_us"], "processed": kernel["processed"],
            "prog_type": kernel["prog_type"] or "?", "features": [],
            "ours": "", "slug": "", "message": "", "insn": None, "our_us": 0.0, "explored": 0,
        }
        if ours is not None:
            program["features"] = features_of(read_bpft(kernel["file"]))
            program.update(ours=ours["verdict"], slug=ours.get("slug") or "", message=ours.get("message") or "",
                           insn=ours.get("insn"), our_us=ours.get("verify_us", 0.0), explored=ours.get("explored", 0))
        return program

    def judge_all(self):
        names = self.objects()
        programs = []
        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            for done, result in enumerate(pool.map(self.judge, names), 1):
                programs += result
                if sys.stderr.isatty():
                    print(f"\r{done} of {len(names)} objects", end="", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print(file=sys.stderr)
        return programs


def yardstick(program):
    """What the verdict should be: the kernel's, for its raw tests what they themselves say."""
    return program["expect"] if program["object"] == RAW else program["kernel"]


def is_lost(program):
    return program["ours"] == "reject" and yardstick(program) == "accept"


def is_surplus(program):
    return program["ours"] == "accept" and yardstick(program) == "reject"


def percent(part, whole):
    return f"{100 * part / whole:.1f}%" if whole else "-"


def tally(programs):
    return {
        "programs": len(programs),
        "agree": sum(p["ours"] == yardstick(p) for p in programs),
        "lost": sum(map(is_lost, programs)),
        "surplus": sum(map(is_surplus, programs)),
        "unsupported": sum(p["ours"] == "unsupported" for p in programs),
        "errors": sum(p["ours"] == "error" for p in programs),
    }


def known_differences(path):
    """{(kind, object, program): reason} of the tables in docs/parity.md."""
    kinds = {"## Accepted here, rejected by Linux": "surplus", "## Rejected here, accepted by Linux": "lost",
             "## Accepted here, but runs differently": "run"}
    known, kind = {}, None
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith("## "):
            kind = kinds.get(line.strip())
        cells = [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
        if kind and line.startswith("|") and len(cells) == 3 and cells[0] != "object" and not cells[0].startswith("---"):
            known[kind, cells[0], cells[1]] = cells[2]
    return known


def speed(programs):
    both = [p for p in programs if p["ours"] == p["kernel"] == "accept" and p["kernel_us"] > 0]
    if not both:
        return None
    ratios = [p["our_us"] / p["kernel_us"] for p in both]
    ours, kernel = sum(p["our_us"] for p in both), sum(p["kernel_us"] for p in both)
    explored, processed = sum(p["explored"] for p in both), sum(p["processed"] for p in both)
    return {
        "programs": len(both), "median_ratio": statistics.median(ratios), "our_us": ours, "kernel_us": kernel,
        "sum_ratio": ours / kernel, "explored": explored, "processed": processed,
        "our_insns_per_s": explored / ours * 1e6 if ours else 0, "kernel_insns_per_s": processed / kernel * 1e6,
        "slower": sorted(((p["object"], p["prog"], p["our_us"], p["kernel_us"], p["explored"], p["processed"])
                          for p, ratio in zip(both, ratios) if ratio > 1), key=lambda row: -row[2] / row[3]),
    }


class Report:
    def __init__(self, programs, known, retvals, is_complete, unread):
        self.lines, self.unread = [], unread
        self.tests = [p for p in programs if p["object"] != RAW]
        self.raw = [p for p in programs if p["object"] == RAW]
        self.judged = [p for p in self.tests if p["kernel"] != "none" and p["ours"]]
        self.known, self.retvals, self.is_complete = known, retvals, is_complete
        self.unlisted = []

    def say(self, text=""):
        self.lines.append(text)

    def heading(self, text):
        self.lines += ["", text, "-" * len(text)]

    def table(self, title, groups):
        width = max([len(title)] + [len(name) for name in groups])
        self.say(f"{title:<{width}} {'programs':>9} {'agree':>7} {'':>7} {'lost':>6} {'surplus':>8} {'unsupported':>12} {'error':>6}")
        for name, programs in groups.items():
            t = tally(programs)
            self.say(f"{name:<{width}} {t['programs']:>9} {t['agree']:>7} {percent(t['agree'], t['programs']):>7} {t['lost']:>6} "
                     f"{t['surplus']:>8} {t['unsupported']:>12} {t['errors']:>6}")

    def agreement(self):
        self.say(f"Linux {platform.release()}, {time.strftime('%Y-%m-%d')}")
        unjudged = collections.Counter(p["kernel_why"] for p in self.tests if p["kernel"] == "none")
        self.say(f"{len(self.tests)} programs; the kernel accepts {sum(p['kernel'] == 'accept' for p in self.tests)}, rejects "
                 f"{sum(p['kernel'] == 'reject' for p in self.tests)}, and does not judge {sum(unjudged.values())}:")
        for reason, count in unjudged.most_common():
            self.say(f"{count:>7}  {reason}")
        self.say(f"{len(self.unread)} objects that libbpf cannot open:")
        for text in sorted(self.unread):
            self.say(f"         {text}")
        by_type = collections.defaultdict(list)
        by_feature = collections.defaultdict(list)
        for p in self.judged:
            by_type[p["prog_type"]].append(p)
            for feature in p["features"]:
                by_feature[feature].append(p)
        self.heading("Agreement")
        largest_first = lambda groups: dict(sorted(groups.items(), key=lambda item: -len(item[1])))
        self.table("program type", {**largest_first(by_type), "all": self.judged})
        self.say()
        self.table("feature", largest_first(by_feature))
        supported = [p for p in self.judged if p["ours"] != "unsupported"]
        accepted = [p for p in self.judged if p["kernel"] == "accept"]
        self.say()
        self.say(f"agreement: {percent(tally(self.judged)['agree'], len(self.judged))}; among what we support: "
                 f"{percent(tally(supported)['agree'], len(supported))}; of what the kernel accepts we accept "
                 f"{percent(sum(p['ours'] == 'accept' for p in accepted), len(accepted))}")

    def listed(self, kind, program):
        """A remark; notes differences that nobody has given a reason for."""
        reason = self.known.get((kind, program["object"], program["prog"]))
        if reason is None:
            self.unlisted.append(program)
            return ""
        return f"   [listed: {reason}]"

    def differences(self, title, kind, programs, detail):
        self.heading(f"{title}: {len(programs)}")
        for p in programs:
            self.say(f"{p['object']} | {p['prog']} | {detail(p)}" + self.listed(kind, p))

    def raw_tests(self):
        judged = [p for p in self.raw if p["ours"]]
        if judged:
            self.heading("Raw tests of test_verifier")
            self.say(f"same verdict as expected: {tally(judged)['agree']} of {len(judged)} "
                     f"({tally(judged)['unsupported']} unsupported); the kernel: "
                     f"{sum(p['kernel'] == p['expect'] for p in self.raw)} of {len(self.raw)}")

    def slugs(self):
        unsupported = [p for p in self.judged + self.raw if p["ours"] == "unsupported"]
        self.heading(f"Unsupported: {len(unsupported)}")
        examples = collections.defaultdict(list)
        for p in unsupported:
            examples[p["slug"], re.sub(r"\d+", "N", p["message"])].append(p)
        for (slug, message), found in sorted(examples.items(), key=lambda item: -len(item[1])):
            self.say(f"{len(found):>6}  {slug}: {message[:90]}   ({found[0]['object']}/{found[0]['prog']})")

    def errors(self):
        errors = [p for p in self.tests + self.raw if p["ours"] == "error"]
        if errors:
            self.heading(f"Not read, or no answer: {len(errors)}")
            for p in errors:
                self.say(f"{p['object']} | {p['prog']} | {p['message']}")
        return errors

    def speeds(self, title, programs):
        s = speed(programs)
        if s is None:
            return None
        self.heading(f"Speed: {title}")
        self.say(f"{s['programs']} programs that both accept, our time / the kernel's: median {s['median_ratio']:.3f}, "
                 f"sums {s['sum_ratio']:.3f} ({s['our_us'] / 1000:.1f} ms / {s['kernel_us'] / 1000:.1f} ms)")
        self.say(f"insns explored {s['explored']}, processed by the kernel {s['processed']} "
                 f"({s['explored'] / max(s['processed'], 1):.3f}); insns/s: {s['our_insns_per_s'] / 1e6:.2f} M, the kernel "
                 f"{s['kernel_insns_per_s'] / 1e6:.2f} M")
        self.say(f"slower than the kernel: {len(s['slower'])}")
        for name, prog, ours, kernel, explored, processed in s["slower"][:50]:
            self.say(f"{ours / kernel:>8.2f}  {name} | {prog}   {ours:.0f} us / {kernel} us, insns {explored} / {processed}")
        return s

    def runs(self):
        if not self.retvals:
            return
        counts = collections.Counter(r["status"] for r in self.retvals)
        self.heading(f"Return values: {len(self.retvals)} accepted programs that say theirs")
        self.say(", ".join(f"{status} {count}" for status, count in counts.most_common()))
        for r in self.retvals:
            if r["status"] in ("differs", "faults"):
                self.say(f"{r['object']} | {r['prog']} | {r['status']}: {r['detail']}" + self.listed("run", r))
        reasons = collections.Counter(re.sub(r'^program "[^"]*": insn \d+: (call \d+: )?', "", r["detail"]) for r in self.retvals if r["status"] == "cannot run")
        self.say()
        self.say("cannot run:")
        for reason, count in reasons.most_common():
            self.say(f"{count:>6}  {reason}")

    def stale(self):
        present = {(kind, p["object"], p["prog"]) for kind, test in (("lost", is_lost), ("surplus", is_surplus))
                   for p in self.judged + self.raw if test(p)}
        present |= {("run", r["object"], r["prog"]) for r in self.retvals if r["status"] in ("differs", "faults")}
        gone = sorted(set(self.known) - present) if self.is_complete else []
        if gone:
            self.heading("Listed in docs/parity.md, but no difference any more (or not judged here)")
            for _, name, prog in gone:
                self.say(f"{name} | {prog}")

    def make(self):
        self.agreement()
        both = self.judged + [p for p in self.raw if p["ours"]]
        self.differences("Rejected here, accepted by Linux", "lost", list(filter(is_lost, both)),
                         lambda p: f"insn {p['insn']}: {p['slug']}: {p['message']}")
        self.differences("Accepted here, rejected by Linux", "surplus", list(filter(is_surplus, both)),
                         lambda p: p["kernel_why"] if p["kernel"] == "reject" else f"the kernel too: {p['kernel']}")
        self.raw_tests()
        self.slugs()
        errors = self.errors()
        speeds = {"selftests": self.speeds("selftests", self.judged), "raw": self.speeds("raw tests", self.raw)}
        self.runs()
        self.stale()
        self.heading("Result")
        self.say(f"{len(self.unlisted)} differences that docs/parity.md does not list, {len(errors)} programs without an answer")
        figures = {"selftests": tally(self.judged), "raw": tally([p for p in self.raw if p["ours"]]), "speed": speeds,
                   "unlisted": len(self.unlisted), "retvals": collections.Counter(r["status"] for r in self.retvals)}
        return figures, not self.unlisted and not errors


RETVALS = {"INT_MIN": -2**31, "TEST_DATA_LEN": 64}


def expected_return(program):
    """What test_loader.c would compare the return value with; None if nothing."""
    text = program["retval"]
    try:
        return RETVALS[text] if text in RETVALS else int(text, 0)
    except ValueError: # POINTER_VALUE: anything will do
        return None


def run_programs(session, programs):
    """Runs what we accept and what tells its return value; see run_program.cpp."""
    wanted = [p for p in programs if p["ours"] == "accept" and (
        p["object"] == RAW and "retval" in (read_bpft(p["file"]).expect or "")
        or p["object"] != RAW and p["retval"] and expected_return(p) is not None)]
    jobs = []
    for p in wanted:
        if p["object"] == RAW:
            found = re.search(r"retval (\d+)(?: data=(\w+))?", read_bpft(p["file"]).expect)
            jobs.append((p["file"], p["prog"], int(found[1]), found[2] or ""))
        else:
            path = session.out / "objects" / f"{p['object']}.bpf.o"
            jobs.append((str(path), p["prog"], expected_return(p), ""))
    results = []
    for p, (path, prog, value, data) in zip(wanted, jobs):
        try:
            done = subprocess.run([session.options.runner, path, prog, str(value & 0xffffffff), data or "-"],
                                  capture_output=True, text=True, errors="replace", timeout=PROGRAM_SECONDS, check=False)
            answer = next(json_lines(done.stdout), None) or {"status": "cannot run", "detail": f"exit code {done.returncode}"}
        except subprocess.TimeoutExpired:
            answer = {"status": "cannot run", "detail": "timeout"}
        results.append({"object": p["object"], "prog": p["prog"], **answer})
    return results


def main():
    parser = argparse.ArgumentParser(prog="scripts/kernel-parity", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="*", metavar="GLOB", help="objects, or OBJECT/PROGRAM; test_verifier: the raw tests")
    parser.add_argument("--json", metavar="FILE", help="also write the report as JSON there")
    parser.add_argument("--loads", type=int, default=3, metavar="N", help="loads of each program on each side; the fastest counts")
    for hidden in ("--out", "--ebpfvm", "--runner", "--known"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    session = Session(options)
    programs = session.judge_all()
    if not programs:
        print(f"no program is called {options.only}", file=sys.stderr)
        return 2
    retvals = run_programs(session, programs) if options.runner else []
    report = Report(programs, known_differences(options.known), retvals, options.only == "*", session.unread)
    figures, is_fine = report.make()
    text = "\n".join(report.lines) + "\n"
    print(text, end="")
    document = json.dumps({"kernel": platform.release(), "date": time.strftime("%Y-%m-%dT%H:%M:%S"), "loads": options.loads,
                           "figures": figures, "programs": programs, "retvals": retvals}, indent=1)
    (session.out / "report.txt").write_text(text)
    (session.out / "report.json").write_text(document)
    if options.json:
        pathlib.Path(options.json).write_text(document)
    return 0 if is_fine else 1


if __name__ == "__main__":
    sys.exit(main())
