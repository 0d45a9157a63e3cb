//! Landlock: the same tree as the mounts show, as a second wall (landlock(7)).

use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::{During, Result, failure};
use crate::message::{Failure, Step};
use crate::plan::{LandlockRule, Node, Plan, Rights};
use crate::sys;

/// The first that knows a right to truncate (Linux 6.2, landlock(7)).
const ABI_OF_TRUNCATE: i32 = 3;

/// A file that no rule covers: that it cannot be opened shows that the rules hold.
pub const PROBE: &str = "/.buntime/landlock-probe";

/// Restricts this process to the plan's rules, with everything that the kernel's ABI can restrict, and returns that
/// ABI. Anything less than full enforcement is an error.
pub fn restrict(plan: &Plan) -> Result<u32> {
    let kernel = sys::landlock_abi().during(Step::Landlock)?;
    if kernel < ABI_OF_TRUNCATE
        && let Some(path) = truncatable(&plan.tree, &plan.landlock)
    {
        let message = format!(
            "below {} some things may be written and not every file's content, and this kernel's Landlock (ABI {kernel}) \
             does not keep files from being truncated: allow write_file there, or use Linux 6.2",
            path.display()
        );
        return Err(failure(Step::Landlock, message));
    }
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
    for rule in &plan.landlock {
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

/// A writable mount that holds files whose content must not be changed: `truncate` and `O_TRUNC` would empty them.
fn truncatable<'a>(tree: &'a [Node], rules: &[LandlockRule]) -> Option<&'a Path> {
    let mut mounts = tree.iter().filter_map(|node| match node {
        Node::Bind(bind) if bind.writable && !bind.device => Some(bind.path.as_path()),
        _ => None,
    });
    let may_be_written = |path: &Path| {
        rules.iter().any(|rule| rule.rights.has_any(Rights::WRITE_FILE) && path.starts_with(rule.path.as_path()))
    };
    mounts.find(|path| !may_be_written(path))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;
    use crate::plan::Bind;

    #[test]
    fn a_writable_mount_needs_the_right_to_write_whole_files() {
        let bytes = |path: &str| Bytes::from(Path::new(path));
        let bind = |path: &str, writable| {
            let directory = true;
            let (source, path) = (bytes(path), bytes(path));
            Node::Bind(Bind { source, path, directory, writable, exec: false, device: false, grant: true })
        };
        let rule = |path: &str, rights| LandlockRule { path: bytes(path), rights };
        let tree = [bind("/read", false), bind("/write", true), bind("/write/pinned", true)];
        assert_eq!(truncatable(&tree, &[rule("/write", Rights::WRITE)]), None);
        assert_eq!(truncatable(&tree, &[rule("/", Rights::ALL)]), None);
        // A right of its own, and one that is given to each entry since one of them must not be written.
        for rules in [&[rule("/write", Rights::MAKE_DIR)][..], &[rule("/write/a", Rights::WRITE)], &[]] {
            assert_eq!(truncatable(&tree, rules), Some(Path::new("/write")));
        }
    }
}
