"""Does not end when it is told to: signals ignored and blocked, threads and exit handlers that go on.

group: survivors
effect: survives
control: none it would not end
"""
import atexit, signal, threading, time

def for_ever():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
atexit.register(for_ever)
threading.Thread(target=for_ever).start()
