"""Renames the host and its domain, by system call and through /proc.

group: namespaces, mounts, ids
effect: proves
control: unshare --uts
"""
SETHOSTNAME, SETDOMAINNAME = 170, 171
name = b"attacked"

for number in (SETHOSTNAME, SETDOMAINNAME):
    with attempt(number):
        syscall(number, name, len(name))
        won()
for file in ("hostname", "domainname"):
    with attempt(file):
        write(f"/proc/sys/kernel/{file}", name, os.O_WRONLY)
        won()
