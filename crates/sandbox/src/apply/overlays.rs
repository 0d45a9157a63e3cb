//! Read-only overlays over directories that hold something denied.
//!
//! A cover goes by the file that it covers: where the host renames another file over that, the kernel takes the cover
//! away, and the new file shows. A cover on an overlay goes by the overlay's own names, which the host does not change.
//! Nor does the host make a name that a whiteout hides. In return an overlay remembers the names that it has seen, so
//! that the supervisor gets a handle by which it makes it forget them.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::mounts::in_force;
use crate::Bytes;
use crate::sys::{self, MOUNT_NODEV, MOUNT_NOEXEC, MOUNT_NOSUID, MOUNT_RDONLY, SysError};

/// Where the upper layers lie, in the sandbox's own root.
const LAYERS: &str = "/.buntime/overlay";

/// The overlay of the bind at `place`, detached, and the handle to refresh it.
pub fn over(
    root: BorrowedFd<'_>,
    place: BorrowedFd<'_>,
    number: usize,
    absent: &[Bytes],
    exec: bool,
) -> Result<(OwnedFd, OwnedFd), SysError> {
    let layer = format!("{LAYERS}-{number}");
    sys::make_dir(root, layer.as_bytes())?;
    for name in absent {
        let path = [layer.as_bytes(), b"/", &name.0].concat();
        sys::make_whiteout(root, &path)?;
    }
    // The directory itself shows with the upper layer's mode: what the worker, which owns that, may do with the other.
    let may = |what: i32, bit: u32| if sys::may(place, what) { bit } else { 0 };
    sys::set_mode(root, layer.as_bytes(), may(libc::R_OK, 0o400) | may(libc::X_OK, 0o100))?;
    let upper = sys::open_place(Some(root), layer.as_bytes())?;
    let layers = format!("/proc/self/fd/{}:/proc/self/fd/{}", upper.as_raw_fd(), place.as_raw_fd());
    let options = [(c"lowerdir", Some(CString::new(layers).unwrap_or_default())), (c"userxattr", None)];
    let flags = MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV | if exec { 0 } else { MOUNT_NOEXEC };
    let overlay = sys::new_filesystem(c"overlay", &options, in_force(flags))?;
    let handle = sys::pick_filesystem(overlay.as_fd(), layer.as_bytes())?;
    Ok((overlay, handle))
}
