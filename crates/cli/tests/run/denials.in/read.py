import sys

for path in sys.argv[1:]:
    try:
        print(open(path).read(), end="")
    except PermissionError as error:
        print(type(error).__name__, path)
