"""Lives on when its host closes its end of the socket to the sandbox, and stays itself.

group: survivors
effect: survives
"""
import signal, time

def daemon():
    os.setsid()
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    time.sleep(60)

# In the companion's host; the other one has work to do.
if sys.argv[2:]:
    if libc.fork() == 0:
        daemon()
    print("ready", flush=True)
    time.sleep(60)
