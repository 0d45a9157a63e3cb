"""Opens ten thousand connections at once and says nothing on them, from many processes.

group: floods
effect: floods
allow: web.example.com:9
asks: web.example.com
reaches: tcp 93.184.216.34:9
most: 1100
rate: 100000
"""
import resource

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
host = resolve("web.example.com")[0]
NONBLOCK = 0x800

def child():
    kept = []
    with attempt("one of many"):
        for _ in range(min(1000, most - 64)):
            fd, where = check(libc.socket(socket.AF_INET, TCP | NONBLOCK, 0)), address(host, 9)
            libc.connect(fd, where, len(where))
            kept.append(fd)
    time.sleep(3 * arena.slowness)
    os._exit(0)

children = []
for _ in range(10):
    with attempt("a process"):
        pid = check(libc.fork())
        if pid == 0:
            child()
        children.append(pid)
for pid in children:
    libc.waitpid(pid, None, 0)
