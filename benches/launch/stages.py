"""Where the time of a whole run goes: medians of the moments at which its processes start, execute and end.

    sudo python3 benches/launch/stages.py [PYTHON]

By the kernel's own tracepoints (perf record; Debian: linux-perf), which cost the run next to nothing.
"""

import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = ROOT / "npm/linux-x64-gnu/python-ipc-bun"
ROUNDS = 60
EVENTS = ["sched:sched_process_exec", "sched:sched_process_fork", "syscalls:sys_enter_pivot_root",
          "syscalls:sys_enter_seccomp", "syscalls:sys_enter_exit_group", "sched:sched_process_exit"]
LINE = re.compile(r"\s*(.+?)\s+\d+\s+([\d.]+):\s+\w+:(?:sched_process_|sys_enter_)(\w+):\s*(.*)")


def record(python, place):
    script = place / "hello.py"
    script.write_text("print('hello')\n")
    data = place / "perf.data"
    loop = f"for i in $(seq {ROUNDS}); do {COMMAND} run --interpreter {python} {script}; done"
    said = subprocess.run(["perf", "record", "-a", "-o", data, *(f"-e{event}" for event in EVENTS), "bash", "-c", loop],
                          check=True, capture_output=True, text=True).stdout
    if said.count("hello\n") != ROUNDS:
        sys.exit(f"expected {ROUNDS} times hello, found {said[:200]!r}")
    fields = "comm,tid,time,event,trace"
    return subprocess.run(["perf", "script", "-i", data, "-F", fields], check=True, capture_output=True, text=True).stdout


def runs_of(text):
    """Of each run, what happened when, in milliseconds since the shell's fork."""
    runs, forked = [], 0.0
    for line in text.splitlines():
        match = LINE.match(line)
        if not match:
            continue
        who, at, what, rest = match[1], float(match[2]) * 1000, match[3], match[4]
        if what == "fork" and who == "bash":
            forked = at
        if what == "exec" and str(COMMAND) in rest:
            runs.append({"exec of the command": at - forked, "": forked})
        if runs and who.startswith(("python", "buntime")):
            key, count = f"{what}, {who}", 1
            while key in runs[-1]:
                count += 1
                key = f"{what}, {who} ({count})"
            runs[-1][key] = at - runs[-1][""]
    return runs


def main():
    python = sys.argv[1] if len(sys.argv) > 1 else "/usr/bin/python3"
    with tempfile.TemporaryDirectory() as place:
        path = pathlib.Path(place)
        path.chmod(0o755)
        runs = runs_of(record(python, path))[5:]
    moments = {}
    for run in runs:
        for key in run.keys() - {""}:
            moments.setdefault(key, []).append(run[key])
    print(f"{len(runs)} runs of {COMMAND.name} run hello.py; median ms since the shell's fork")
    for key, values in sorted(moments.items(), key=lambda item: statistics.median(item[1])):
        if len(values) > len(runs) // 2:
            print(f"{statistics.median(values):7.2f}  {key}")


if __name__ == "__main__":
    main()
