"""Starts processes and threads without end, until the host itself could start none.

group: resources
effect: proves
"""
import _thread, signal

LIMIT, PROCESSES = 1024, 100
held = _thread.allocate_lock()
held.acquire()
children = []
try:
    for started in range(LIMIT + 1):
        if started >= PROCESSES:
            _thread.start_new_thread(held.acquire, ())
            continue
        children.append(check(libc.fork()))
        if children[-1] == 0:
            libc.pause()
            os._exit(0)
    won()
except (OSError, RuntimeError) as error:
    print("refused:", started, error)
for pid in children:
    os.kill(pid, signal.SIGKILL)
    libc.waitpid(pid, None, 0)
