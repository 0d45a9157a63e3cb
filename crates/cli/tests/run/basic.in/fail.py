def check(n):
    raise ValueError(n)


check(1)
