"""Sets what /proc lets one set for another process, for its parent: who dies first, timers, core filter, ids.

group: /proc, /sys and /dev
effect: proves
"""
parent = os.getppid()
for file in ("oom_score_adj", "oom_adj", "timerslack_ns", "coredump_filter", "autogroup", "loginuid", "sched", "clear_refs",
             "uid_map", "gid_map", "setgroups", "projid_map", "attr/current", "make-it-fail", "latency", "arch_status"):
    for place in (f"/proc/{parent}", f"/proc/{parent}/task/{parent}"):
        with attempt(f"{place}/{file}"):
            # What it holds already: the control changes nothing.
            value = read(f"{place}/{file}")
            write(f"{place}/{file}", value, os.O_WRONLY)
            won()
