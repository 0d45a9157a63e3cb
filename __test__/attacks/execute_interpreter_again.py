"""Executes its own interpreter once more, by every name that it has.

group: executing
effect: proves
"""
code = f"print('{arena.proof}')"
NAMES = (
    sys.executable, os.path.realpath(sys.executable), "/proc/self/root" + sys.executable,
    "/proc/self/exe", f"/proc/{os.getpid()}/exe", "/proc/thread-self/exe", "/usr/bin/python3",
)
for name in NAMES:
    execute(name, "-I", "-S", "-c", code)
