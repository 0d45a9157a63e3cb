//! Where the helper `buntime-init` is.

use std::ffi::{CStr, OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Once;

/// Tells the supervisor crate, once per process, that its helper is beside this addon: they are built, shipped and
/// versioned together.
pub fn announce_init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Some(file) = own_file() {
            buntime_supervisor::set_init_path(file.with_file_name("buntime-init"));
        }
    });
}

/// The file that this code was loaded from. Asked of the loader: Node and Bun tell it to the module's init function
/// only, and each in its own way.
fn own_file() -> Option<PathBuf> {
    // SAFETY: `Dl_info` is plain pointers, for which zero is a value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: the address is one of our own functions, and `info` outlives the call.
    let found = unsafe { libc::dladdr(own_file as *const c_void, &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's string, terminated, which lives as long as this addon.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(Path::new(OsStr::from_bytes(name.to_bytes())).to_path_buf())
}
