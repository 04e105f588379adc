//! Takes a secret out of this process's environment.

use std::{
    ffi::{CStr, c_char},
    fs, io,
};

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

/// Overwrites the value of a variable in place. Removing it from the environment would leave it where execve(2) has put
/// it, and `/proc/PID/environ` shows that to every process of the user.
///
/// # Errors
/// When this process has other threads, which may be reading the environment: then nothing has changed.
pub fn wipe(name: &str) -> io::Result<()> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("other threads run already"));
    }
    // SAFETY: no other thread reads or changes the environment, and this function holds no reference into it across the
    // write. It is a list of pointers to NUL-terminated strings in writable memory, ended by a null pointer; only bytes
    // before a NUL are changed.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let text = CStr::from_ptr(*entry).to_bytes();
            let value = text.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
            if let Some(bytes) = value.map(<[u8]>::len) {
                let start = text.len() - bytes;
                (*entry).add(start).write_bytes(0, bytes);
            }
            entry = entry.add(1);
        }
    }
    Ok(())
}
