import atexit
import threading

atexit.register(print, "last")
threading.Timer(0.1, print, ["late"]).start()
print("first")
