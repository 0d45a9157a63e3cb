# Run once per interpreter, outside any sandbox, by the supervisor: says in one line what of the file system this Python
# needs. Then it writes the byte code of the source that it is given on standard input.
import importlib.util, marshal, os, struct, sys, sysconfig

try:
    import site
    site_dirs = list(site.getsitepackages())
except Exception:
    site_dirs = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]

# Their libraries show up in the memory map; each may be missing.
for name in ("ssl", "ctypes", "sqlite3", "zlib", "bz2", "lzma", "hashlib", "decimal", "uuid", "readline", "curses",
             "dbm"):
    try:
        __import__(name)
    except Exception:
        pass

libraries = set()
with open("/proc/self/maps", "rb") as maps:
    for line in maps:
        path = line.split(None, 5)[5:]
        if path and b".so" in path[0]:
            libraries.add(os.fsdecode(path[0].rstrip(b"\n")))


def loader(executable):
    """The program that the kernel starts to load the executable: its PT_INTERP, elf(5)."""
    with open(executable, "rb") as file:
        header = file.read(64)
        if header[:5] != b"\x7fELF\x02":
            return None
        start, = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        for index in range(count):
            file.seek(start + index * size)
            entry = file.read(size)
            kind, = struct.unpack_from("<I", entry)
            if kind == 3:
                offset, = struct.unpack_from("<Q", entry, 8)
                length, = struct.unpack_from("<Q", entry, 32)
                file.seek(offset)
                return os.fsdecode(file.read(length).rstrip(b"\0"))


def text(value):
    # JSON without the json module: paths only, escaped where they are not plain ASCII.
    return '"' + "".join(c if c not in '"\\' and " " <= c < "\x7f" else "\\u%04x" % ord(c) if ord(c) < 0x10000 else
                         "\\u%04x\\u%04x" % (0xd7c0 + (ord(c) >> 10), 0xdc00 + (ord(c) & 0x3ff)) for c in value) + '"'


def texts(values):
    return "[" + ",".join(text(v) for v in values if v) + "]"


executable = sys.executable
print("{" + ",".join('"%s":%s' % item for item in (
    ("executable", text(executable)),
    ("version", "[%d,%d,%d]" % sys.version_info[:3]),
    ("loader", text(loader(os.path.realpath(executable)) or "")),
    ("prefixes", texts(sorted({sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}))),
    ("stdlib", texts(sorted({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}))),
    ("site", texts(site_dirs)),
    ("libraries", texts(sorted({os.path.dirname(path) for path in libraries}))),
)) + "}")
sys.stdout.flush()
code = compile(sys.stdin.buffer.read(), "/.buntime/worker.py", "exec", dont_inherit=True, optimize=2)
# The header of a .pyc: the version's magic number, no flags, no source to be compared with.
sys.stdout.buffer.write(importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code))
