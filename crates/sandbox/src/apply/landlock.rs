//! Landlock: the same tree as the mounts show, as a second wall (landlock(7)).

use std::os::fd::OwnedFd;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::{During, Result, failure};
use crate::message::{Failure, Step};
use crate::plan::{LandlockRule, Rights};
use crate::sys;

/// A file that no rule covers: that it cannot be opened shows that the rules hold.
pub const PROBE: &str = "/.buntime/landlock-probe";

/// Restricts this process to the rules, with everything that the kernel's ABI can restrict, and returns that ABI.
/// Anything less than full enforcement is an error.
pub fn restrict(rules: &[LandlockRule]) -> Result<u32> {
    let kernel = sys::landlock_abi().during(Step::Landlock)?;
    // The rights are asked for by the ABI that is there: a newer set is E2BIG or EINVAL on an older kernel.
    let abi = ABI::from(kernel);
    let fail = |error: landlock::RulesetError| Failure {
        step: Step::Landlock,
        message: format!("landlock, ABI {kernel}: {error}"),
        errno: errno_behind(&error),
    };
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))
        .map_err(fail)?;
    if abi >= ABI::V6 {
        ruleset = ruleset.scope(Scope::from_all(abi)).map_err(fail)?;
    }
    let mut ruleset = ruleset.create().map_err(fail)?;
    for rule in rules {
        let place = sys::open_place(None, &rule.path.0).during(Step::Landlock)?;
        let access = access(abi, rule.rights, is_directory(&place)?);
        if access.is_empty() {
            continue;
        }
        ruleset = ruleset.add_rule(PathBeneath::new(place, access)).map_err(fail)?;
    }
    let status = ruleset.restrict_self().map_err(fail)?;
    if status.ruleset != RulesetStatus::FullyEnforced {
        return Err(failure(Step::Landlock, format!("landlock is {:?}", status.ruleset)));
    }
    match sys::open_file(PROBE.as_bytes(), libc::O_RDONLY) {
        Err(error) if error.errno == libc::EACCES => Ok(kernel as u32),
        Err(error) => Err(failure(Step::Landlock, format!("landlock probe: {error}, expected EACCES"))),
        Ok(_) => Err(failure(Step::Landlock, "landlock reports to be enforced, but denied nothing")),
    }
}

/// The kernel's answer behind the crate's error.
fn errno_behind(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.find_map(|cause| cause.downcast_ref::<std::io::Error>()?.raw_os_error())
}

fn is_directory(place: &OwnedFd) -> Result<bool> {
    use std::os::fd::AsFd;
    let (_, _, mode) = sys::owner_of(place.as_fd()).during(Step::Landlock)?;
    Ok(mode & libc::S_IFMT == libc::S_IFDIR)
}

/// The kernel's rights, of those that its ABI has. A rule on a file may name only what files have.
fn access(abi: ABI, rights: Rights, directory: bool) -> BitFlags<AccessFs> {
    // Never IOCTL_DEV: no device here needs an ioctl. Devices are made by nobody.
    let kernel = |right: Rights| match right {
        Rights::READ_FILE => AccessFs::ReadFile.into(),
        Rights::READ_DIR => AccessFs::ReadDir.into(),
        Rights::WRITE_FILE => AccessFs::WriteFile | AccessFs::Truncate,
        Rights::WRITE_DIR => AccessFs::Refer.into(),
        Rights::REMOVE_DIR => AccessFs::RemoveDir.into(),
        Rights::REMOVE_FILE => AccessFs::RemoveFile.into(),
        Rights::MAKE_DIR => AccessFs::MakeDir.into(),
        Rights::MAKE_REG => AccessFs::MakeReg.into(),
        Rights::MAKE_SOCK => AccessFs::MakeSock.into(),
        Rights::MAKE_FIFO => AccessFs::MakeFifo.into(),
        Rights::MAKE_SYM => AccessFs::MakeSym.into(),
        Rights::EXECUTE => AccessFs::Execute.into(),
        _ => BitFlags::empty(),
    };
    let all = rights.each().fold(BitFlags::empty(), |all, right| all | kernel(right)) & AccessFs::from_all(abi);
    if directory { all } else { all & AccessFs::from_file(abi) }
}
