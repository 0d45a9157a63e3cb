import sys

for _ in range(5):
    try:
        open("/etc/shadow")
    except PermissionError:
        pass
sys.stderr.write("no line break")
