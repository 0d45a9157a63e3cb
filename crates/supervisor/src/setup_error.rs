//! A failed launch step, made into an error with a remedy.

use buntime_sandbox::message::{Failure, Step};

use crate::error::Error;

/// Names the code and, for what is commonly met, the way out.
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
        Step::Exec => "ERR_BUNTIME_EXEC",
    };
    let error = Error::setup(code, format!("the sandbox could not be built: {}", failure.message));
    match hint(failure) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn hint(failure: &Failure) -> Option<&'static str> {
    Some(match (failure.step, failure.errno?) {
        (Step::Namespaces, libc::EPERM | libc::EACCES) => {
            "user namespaces are refused: on Ubuntu 24.04 set sysctl kernel.apparmor_restrict_unprivileged_userns=0 or install an \
             AppArmor profile for buntime-init; elsewhere kernel.unprivileged_userns_clone=1; in a container allow clone, unshare \
             and mount in its seccomp profile"
        }
        (Step::Namespaces, libc::ENOSPC | libc::EUSERS) => {
            "the limit of namespaces is reached: raise the sysctls user.max_user_namespaces and user.max_net_namespaces"
        }
        (Step::Identity, libc::EPERM) => {
            "the ids could not be mapped: run as an ordinary user, or with CAP_SETUID and CAP_SETGID"
        }
        (Step::Mounts, libc::EPERM | libc::EACCES) => {
            "mounts are refused in the new user namespace: an AppArmor or seccomp profile, or a container that masks /proc"
        }
        (Step::Mounts, libc::ENOSYS) => "the new mount calls need Linux 5.12 or newer",
        (Step::Landlock, libc::ENOSYS | libc::EOPNOTSUPP) => {
            "Landlock needs Linux 5.13 or newer, with landlock among the lsm= of the kernel's command line"
        }
        _ => return None,
    })
}
