import sys

print("hello from", __name__)
print("arguments:", sys.argv[1:])
