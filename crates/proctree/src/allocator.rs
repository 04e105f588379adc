//! The C library's allocator, so far as it decides when memory is given back to the machine.

/// Blocks of at least this size are mapped by themselves, and are given back when they are freed.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES: libc::c_int = 1024 * 1024;
/// What may be free at the end of a heap before it is given back at once.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: libc::c_int = 2 * 1024 * 1024;

/// Has large blocks given back as soon as they are freed. Without it the allocator raises the size of what it maps by
/// itself with every large block that is freed, up to 32 MiB, and keeps what is smaller. To be called before there are
/// threads.
pub fn give_back_large_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) only sets numbers; no other thread allocates.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
    }
}

/// Gives back what is free now. Takes milliseconds where very much is.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) is safe in any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
