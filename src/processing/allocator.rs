//! How the C library's allocator treats the memory of pictures.

/// Blocks of at least this size are given back to the system as soon as they are freed.
#[cfg(target_env = "gnu")]
const THRESHOLD_BYTES: libc::c_int = 1 << 20;

/// Makes the allocator give large blocks back when they are freed. Without this, glibc keeps ever
/// larger blocks once it has seen some freed, and a service that once had many pictures at once
/// keeps their memory for good.
pub fn return_freed_pictures() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: it only changes how the allocator treats later blocks.
        #[allow(unsafe_code)]
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, THRESHOLD_BYTES);
        }
    }
}

/// A pixel process keeps this much freed memory for the next picture. The kernel clears memory that it
/// hands out, which takes longer than many small pictures.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: libc::c_int = 16 << 20;

/// Makes the allocator of a pixel process keep some freed memory for the next picture.
pub(super) fn keep_some_for_the_next_picture() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: they only change how the allocator treats later blocks.
        #[allow(unsafe_code)]
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT_BYTES);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
        }
    }
}
