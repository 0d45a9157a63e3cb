//! A failed launch step, made into an error with a remedy.

use buntime_sandbox::message::{Failure, Step};

use crate::error::Error;

/// Names the code and the way out; the message has the call, its arguments and errno.
pub fn from_failure(failure: &Failure) -> Error {
    let code = match failure.step {
        Step::Plan => "ERR_BUNTIME_PLAN",
        Step::Namespaces => "ERR_BUNTIME_NAMESPACES",
        Step::Identity => "ERR_BUNTIME_IDENTITY",
        Step::Network => "ERR_BUNTIME_NETWORK",
        Step::Mounts => "ERR_BUNTIME_MOUNTS",
        Step::Privileges => "ERR_BUNTIME_PRIVILEGES",
        Step::Landlock => "ERR_BUNTIME_LANDLOCK",
        Step::Seccomp => "ERR_BUNTIME_SECCOMP",
        Step::Watch => "ERR_BUNTIME_AUDIT",
        Step::Exec => "ERR_BUNTIME_EXEC",
    };
    let message = format!("the sandbox could not be built: {}", failure.message);
    Error::setup(code, message).with_hint(hint(failure))
}

/// The way out where errno tells it, else what to look at in that step.
fn hint(failure: &Failure) -> &'static str {
    match (failure.step, failure.errno.unwrap_or(0)) {
        (Step::Plan, libc::EPERM | libc::ENOSYS) => {
            "a seccomp profile around this process refuses a call that any program may make: allow it for buntime-init"
        }
        (Step::Plan, _) => {
            "helper and library must be of one version: reinstall the package, and unset BUNTIME_INIT_PATH"
        }
        (Step::Namespaces, libc::EPERM | libc::EACCES) => {
            "user namespaces are refused: on Ubuntu 24.04 set sysctl kernel.apparmor_restrict_unprivileged_userns=0 or \
             install an AppArmor profile for buntime-init; elsewhere kernel.unprivileged_userns_clone=1; in a \
             container allow clone, unshare and mount in its seccomp profile"
        }
        (Step::Namespaces, libc::ENOSPC | libc::EUSERS) => {
            "the limit of namespaces is reached: raise the sysctls user.max_user_namespaces and user.max_net_namespaces"
        }
        (Step::Namespaces | Step::Exec, libc::EAGAIN | libc::ENOMEM) => {
            "the host is out of processes or memory: raise the limit of processes (ulimit -u, pids.max) or end some"
        }
        (Step::Namespaces, libc::EINVAL | libc::ENOSYS) => {
            "the kernel lacks a kind of namespace: it needs CONFIG_USER_NS, CONFIG_PID_NS, CONFIG_NET_NS, \
             CONFIG_IPC_NS, CONFIG_UTS_NS and CONFIG_CGROUPS"
        }
        (Step::Namespaces, _) => "see user_namespaces(7): the kernel must let this user make namespaces of every kind",
        (Step::Identity, libc::EPERM) => {
            "the ids could not be mapped: run as an ordinary user, or with CAP_SETUID and CAP_SETGID"
        }
        (Step::Identity, _) => "the ids could not be mapped: /proc must be mounted, and its id maps writable",
        (Step::Network, libc::ENOENT | libc::EOPNOTSUPP | libc::EPROTONOSUPPORT) => {
            "the kernel lacks what brings a sandbox's flows to the relay: load the modules nf_tables and nft_tproxy (udp \
             rules need that one) or nft_nat on the host, or take the network out of the policy"
        }
        (Step::Network, libc::EMSGSIZE | libc::ENOBUFS) => {
            "too many rules of the policy name loopback addresses and ports: name fewer, or ranges"
        }
        (Step::Network, _) => {
            "a security module or seccomp profile refuses to set up loopback in a new network namespace"
        }
        (Step::Mounts, libc::EPERM | libc::EACCES) => {
            "mounts are refused in the new user namespace: an AppArmor or seccomp profile, or a container that masks \
             /proc"
        }
        (Step::Mounts, libc::ENOSYS) => "the new mount calls need Linux 5.12 or newer",
        (Step::Mounts, libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::ESTALE) => {
            "the path changed while the sandbox was built: start again, and leave granted paths alone meanwhile"
        }
        (Step::Mounts, libc::ENOSPC) => {
            "the limit of mounts is reached: raise the sysctl fs.mount-max, or grant fewer paths"
        }
        (Step::Mounts, _) => "the file system of the named path cannot be shown in a sandbox: grant another path",
        (Step::Privileges, libc::EINVAL | libc::ENOSYS) => "dropping privilege needs Linux 5.13 or newer",
        (Step::Privileges, _) => {
            "a seccomp profile around this process refuses prctl, capset, setrlimit or setsid: allow them for \
             buntime-init"
        }
        (Step::Landlock, libc::ENOSYS | libc::EOPNOTSUPP) => {
            "Landlock needs Linux 5.13 or newer, with landlock among the lsm= of the kernel's command line"
        }
        (Step::Landlock, libc::E2BIG) => "sandboxes can be nested at most 16 deep: start this one further out",
        (Step::Landlock, libc::ENOENT) => {
            "the path changed while the sandbox was built: start again, and leave granted paths alone meanwhile"
        }
        (Step::Landlock, _) => "the kernel takes none or not all of the rules: see landlock(7) and dmesg",
        (Step::Watch, libc::EBUSY) => {
            "what runs this process (a container that intercepts system calls) holds a seccomp listener, of which the \
             kernel allows one, and calls cannot be watched without: start outside of it, or without audit, without \
             `warn` rules and without `sys` rules"
        }
        (Step::Watch, _) => {
            "calls cannot be watched here: start without audit, without `warn` rules and without `sys` rules"
        }
        (Step::Seccomp, libc::EBUSY) => {
            "what runs this process (a container that intercepts system calls) holds a seccomp listener, of which the \
             kernel allows one: let ptrace be used there (seccomp profile, sysctl kernel.yama.ptrace_scope below 2) \
             and execve not be intercepted, or start outside of it"
        }
        (Step::Seccomp, libc::ENOSYS | libc::EINVAL) => {
            "seccomp filters with a listener need Linux 5.5 or newer, with CONFIG_SECCOMP_FILTER"
        }
        (Step::Seccomp, libc::ENOMEM) => "the chain of seccomp filters is full: start outside of other sandboxes",
        (Step::Seccomp, _) => "a seccomp profile around this process refuses seccomp: allow it for buntime-init",
        (Step::Exec, libc::ENOENT) => {
            "a file is not there any more, or the interpreter's loader is not: start again, or name another interpreter"
        }
        (Step::Exec, libc::EACCES | libc::EPERM) => {
            "the worker's user may not go there or execute that: check the modes of the named path and of those above \
             it; a root caller's worker is not root"
        }
        (Step::Exec, libc::ENOEXEC) => "the interpreter is no program of this machine's architecture: name another one",
        (Step::Exec, libc::E2BIG) => "arguments and environment are too long: pass less through env and args",
        (Step::Exec, libc::EMFILE | libc::ENFILE) => "raise the limit of open files (ulimit -n)",
        (Step::Exec, libc::ENOSYS) => "the exec gate was closed before the worker passed it: start again",
        (Step::Exec, _) => {
            "the interpreter could not be started in the sandbox: name another one with the option `interpreter`"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_a_code_and_a_hint_and_keeps_its_words() {
        let steps = [
            (Step::Plan, "ERR_BUNTIME_PLAN"),
            (Step::Namespaces, "ERR_BUNTIME_NAMESPACES"),
            (Step::Identity, "ERR_BUNTIME_IDENTITY"),
            (Step::Network, "ERR_BUNTIME_NETWORK"),
            (Step::Mounts, "ERR_BUNTIME_MOUNTS"),
            (Step::Privileges, "ERR_BUNTIME_PRIVILEGES"),
            (Step::Landlock, "ERR_BUNTIME_LANDLOCK"),
            (Step::Seccomp, "ERR_BUNTIME_SECCOMP"),
            (Step::Watch, "ERR_BUNTIME_AUDIT"),
            (Step::Exec, "ERR_BUNTIME_EXEC"),
        ];
        for (step, code) in steps {
            for errno in [None, Some(libc::EPERM), Some(libc::EIO)] {
                let message = "chdir(\"/gone\") => ENOENT".to_owned();
                let error = from_failure(&Failure { step, message, errno });
                assert_eq!(error.code, code);
                assert!(error.message.ends_with(": chdir(\"/gone\") => ENOENT"), "{error}");
                assert!(error.hint.is_some_and(|hint| !hint.is_empty()), "{step:?} {errno:?}");
            }
        }
    }

    #[test]
    fn hints_follow_the_errno() {
        let hint = |step, errno| hint(&Failure { step, message: String::new(), errno: Some(errno) });
        assert!(hint(Step::Seccomp, libc::EBUSY).contains("ptrace"));
        assert!(hint(Step::Exec, libc::E2BIG).contains("env"));
        assert!(hint(Step::Privileges, libc::EPERM).contains("seccomp profile"));
        assert!(hint(Step::Plan, libc::EIO).contains("BUNTIME_INIT_PATH"));
    }
}
