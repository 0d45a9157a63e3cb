# Run once per interpreter, outside any sandbox, by the supervisor, with -I -S and a worker's environment: says in one
# line what of the file system this Python needs. Then it writes the byte code of the source on its standard input.
# Nothing of site-packages runs here: neither its modules nor the lines of its .pth files.
import importlib.util, marshal, os, struct, sys

# What the worker, started with -S as well, has on its path: in whatever layout, zip files and build trees included.
stdlib = [path for path in sys.path if os.path.exists(path)]

# As `site.venv` does it.
bin_dir = os.path.dirname(os.path.abspath(sys.executable))
configs = [os.path.join(place, "pyvenv.cfg") for place in (bin_dir, os.path.dirname(bin_dir))]
config = next(filter(os.path.isfile, configs), None)
site_prefixes = [sys.base_prefix, sys.base_exec_prefix]
if config:
    sys.prefix = sys.exec_prefix = os.path.dirname(bin_dir)
    with open(config, encoding="utf-8") as lines:
        settings = dict([part.strip().lower() for part in line.split("=", 1)] for line in lines if "=" in line)
    system_site = settings.get("include-system-site-packages", "true") == "true"
    site_prefixes = [sys.prefix] + (site_prefixes if system_site else [])
import site  # only its functions: with -S, its `main` does not run
site_dirs = site.getsitepackages(site_prefixes)

# Their libraries are then loaded; each may be missing.
for name in ("ssl", "ctypes", "sqlite3", "zlib", "bz2", "lzma", "hashlib", "decimal", "uuid", "readline", "curses",
             "dbm"):
    try:
        __import__(name)
    except Exception:
        pass

loaded = set()
with open("/proc/self/maps", "rb") as maps:
    for line in maps:
        path = line.split(None, 5)[5:]
        if path and b".so" in path[0]:
            loaded.add(os.fsdecode(path[0].rstrip(b"\n")))


def loaded_by_name():
    """The libraries as the loader calls them, symlinks and all: dl_iterate_phdr(3)."""
    from ctypes import CDLL, CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_size_t, c_void_p

    class Info(Structure):
        _fields_ = [("address", c_void_p), ("name", c_char_p)]

    def add(info, size, data):
        name = info.contents.name
        if name and name.startswith(b"/"):
            loaded.add(os.fsdecode(name))
        return 0

    CDLL(None).dl_iterate_phdr(CFUNCTYPE(c_int, POINTER(Info), c_size_t, c_void_p)(add), None)


try:
    loaded_by_name()
except Exception:
    pass

prefixes = sorted({sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix})
# Where a directory of libraries is the system's, or the interpreter's own, all of it is shown: packages need others of
# it. Any other, say ~/lib, may hold anything: only its libraries are.
whole = ("/usr/", "/lib/", "/lib64/") + tuple(os.path.realpath(prefix) + "/" for prefix in prefixes)
libraries = set()
for path in loaded:
    directory = os.path.dirname(path)
    real = os.path.realpath(directory)
    if (real + "/").startswith(whole) and real + "/" not in whole[3:]:
        libraries.add(directory)
    elif os.path.isdir(real):
        libraries.update(os.path.join(directory, name) for name in os.listdir(real) if ".so" in name)


def loader(executable):
    """The program that the kernel starts to load the executable: its PT_INTERP, elf(5)."""
    with open(executable, "rb") as file:
        header = file.read(64)
        if header[:5] != b"\x7fELF\x02":
            sys.exit("it is started by %r, which is no ELF file; name the program that this starts" % executable)
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
    try:
        value.encode()
    except UnicodeEncodeError:
        sys.exit("%a is a path that is not UTF-8" % value)
    return '"' + "".join(c if c not in '"\\' and " " <= c < "\x7f" else "\\u%04x" % ord(c) if ord(c) < 0x10000 else
                         "\\u%04x\\u%04x" % (0xd7c0 + (ord(c) >> 10), 0xdc00 + (ord(c) & 0x3ff)) for c in value) + '"'


def texts(values):
    return "[" + ",".join(text(v) for v in values if v) + "]"


executable = sys.executable
print("{" + ",".join('"%s":%s' % item for item in (
    ("executable", text(executable)),
    ("version", "[%d,%d,%d]" % sys.version_info[:3]),
    ("loader", text(loader(executable) or "")),
    ("prefixes", texts(prefixes)),
    ("stdlib", texts(stdlib)),
    ("site", texts(site_dirs)),
    ("libraries", texts(sorted(libraries))),
    ("loaded", texts(sorted(loaded))),
    ("configs", texts(configs)),
    ("decided_by", texts([executable, *configs, *sorted(path for path in loaded if "/libpython" in path)])),
)) + "}")
sys.stdout.flush()
code = compile(sys.stdin.buffer.read(), "/.buntime/worker.py", "exec", dont_inherit=True, optimize=2)
# The header of a .pyc: the version's magic number, no flags, no source to be compared with.
sys.stdout.buffer.write(importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code))
