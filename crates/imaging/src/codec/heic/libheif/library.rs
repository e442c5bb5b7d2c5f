//! The functions of libheif. It is not linked: it is loaded when the first HEIC picture is read, so
//! that the program runs without it. The declarations here are a part of `heif.h` of libheif 1.15;
//! later versions only add to it.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::LazyLock;

use libloading::Library;

use crate::codec::ycbcr::Coding;

/// The library's file names, by the version of its interface.
const NAMES: &[&str] = if cfg!(windows) {
    &["heif.dll", "libheif.dll"]
} else if cfg!(target_os = "macos") {
    &[
        "libheif.1.dylib",
        "/opt/homebrew/lib/libheif.1.dylib",
        "/usr/local/lib/libheif.1.dylib",
    ]
} else {
    &["libheif.so.1"]
};

/// `heif_compression_HEVC`.
const HEVC: c_int = 1;
/// `heif_colorspace_undefined` and `heif_chroma_undefined`: as stored in the picture.
pub(super) const AS_STORED: c_int = 99;

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct HeifError {
    pub(super) code: c_int,
    subcode: c_int,
    message: *const c_char,
}

/// The first fields of `heif_color_profile_nclx`.
#[repr(C)]
pub(super) struct Nclx {
    pub(super) version: u8,
    primaries: c_int,
    transfer: c_int,
    matrix: c_int,
    full_range: u8,
}

/// The first fields of `heif_security_limits`, which libheif has since 1.19. A limit of 0 is none.
#[repr(C)]
pub(super) struct SecurityLimits {
    pub(super) version: u8,
    // Of version 1:
    image_pixels: u64,
    tiles: u64,
    bayer_pattern_pixels: u32,
    items: u32,
    color_profile_bytes: u32,
    pub(super) memory_block_bytes: u64,
    components: u32,
    extents_per_item: u32,
    entity_group_items: u32,
    children_per_box: u32,
    // Of version 2:
    pub(super) total_memory_bytes: u64,
}

/// `heif_context_get_security_limits`: gives the limits of a context, which may be changed there.
type SecurityLimitsOf = unsafe extern "C" fn(*const c_void) -> *mut SecurityLimits;

macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The library's functions by their own names. Contexts, handles and images are opaque.
        #[allow(non_snake_case, reason = "the names are libheif's")]
        pub(super) struct Functions {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// Only later versions have this function.
            pub(super) security_limits: Option<SecurityLimitsOf>,
        }

        impl Functions {
            fn of(library: &Library) -> Result<Self, libloading::Error> {
                // SAFETY: the types are those that `heif.h` declares for these names.
                unsafe {
                    let limits = library.get::<SecurityLimitsOf>("heif_context_get_security_limits");
                    Ok(Self {
                        $($name: *library.get(stringify!($name))?,)*
                        security_limits: limits.ok().map(|function| *function),
                    })
                }
            }
        }
    };
}

functions! {
    heif_init(*mut c_void) -> HeifError;
    heif_have_decoder_for_format(c_int) -> c_int;
    heif_context_alloc() -> *mut c_void;
    heif_context_free(*mut c_void);
    heif_context_set_max_decoding_threads(*mut c_void, c_int);
    heif_context_set_maximum_image_size_limit(*mut c_void, c_int);
    heif_context_read_from_memory_without_copy(
        *mut c_void, *const c_void, usize, *const c_void
    ) -> HeifError;
    heif_context_get_primary_image_handle(*mut c_void, *mut *mut c_void) -> HeifError;
    heif_image_handle_release(*const c_void);
    heif_image_handle_get_width(*const c_void) -> c_int;
    heif_image_handle_get_height(*const c_void) -> c_int;
    heif_image_handle_get_ispe_width(*const c_void) -> c_int;
    heif_image_handle_get_ispe_height(*const c_void) -> c_int;
    heif_image_handle_get_luma_bits_per_pixel(*const c_void) -> c_int;
    heif_image_handle_has_alpha_channel(*const c_void) -> c_int;
    heif_image_handle_is_premultiplied_alpha(*const c_void) -> c_int;
    heif_image_handle_get_raw_color_profile_size(*const c_void) -> usize;
    heif_image_handle_get_raw_color_profile(*const c_void, *mut c_void) -> HeifError;
    heif_image_handle_get_nclx_color_profile(*const c_void, *mut *mut Nclx) -> HeifError;
    heif_image_handle_get_list_of_metadata_block_IDs(
        *const c_void, *const c_char, *mut u32, c_int
    ) -> c_int;
    heif_image_handle_get_metadata_content_type(*const c_void, u32) -> *const c_char;
    heif_image_handle_get_metadata_size(*const c_void, u32) -> usize;
    heif_image_handle_get_metadata(*const c_void, u32, *mut c_void) -> HeifError;
    heif_nclx_color_profile_free(*mut Nclx);
    heif_decode_image(
        *const c_void, *mut *mut c_void, c_int, c_int, *const c_void
    ) -> HeifError;
    heif_image_release(*const c_void);
    heif_image_get_nclx_color_profile(*const c_void, *mut *mut Nclx) -> HeifError;
    heif_image_get_width(*const c_void, c_int) -> c_int;
    heif_image_get_height(*const c_void, c_int) -> c_int;
    heif_image_get_bits_per_pixel(*const c_void, c_int) -> c_int;
    heif_image_get_bits_per_pixel_range(*const c_void, c_int) -> c_int;
    heif_image_get_plane_readonly(*const c_void, c_int, *mut c_int) -> *const u8;
}

/// Loads the library now. Later, the process may not be able to open files.
pub(crate) fn preload() {
    LazyLock::force(&LIBHEIF);
}

pub(super) static LIBHEIF: LazyLock<Result<Functions, String>> = LazyLock::new(|| load(NAMES));

/// Loads the first library that exists. It stays loaded while the program runs.
fn load(names: &[&str]) -> Result<Functions, String> {
    let library = names.iter().find_map(|name| {
        // SAFETY: libheif and its dependencies may be loaded at any time and by any thread.
        unsafe { Library::new(*name) }.ok()
    });
    let Some(library) = library else {
        return Err(format!(
            "HEIC needs libheif, which is not installed (looked for {}): install it (package \
             libheif1 on Debian and Ubuntu)",
            names.join(", ")
        ));
    };
    let functions = Functions::of(&library).map_err(|error| {
        format!("HEIC needs libheif 1.15 or newer, but an older version is installed: {error}")
    })?;
    std::mem::forget(library);
    // SAFETY: null means default parameters.
    let has_decoder = unsafe {
        check((functions.heif_init)(null_mut()))?;
        (functions.heif_have_decoder_for_format)(HEVC)
    };
    if has_decoder == 0 {
        return Err(
            "HEIC needs an HEVC decoder, which the installed libheif lacks: install one (package \
             libheif-plugin-libde265 on Debian and Ubuntu)"
                .to_owned(),
        );
    }
    Ok(functions)
}

pub(super) fn check(error: HeifError) -> Result<(), String> {
    if error.code == 0 {
        return Ok(());
    }
    if error.message.is_null() {
        return Err(format!(
            "libheif reports error {}.{}",
            error.code, error.subcode
        ));
    }
    // SAFETY: the message ends with a zero and lives until the next call.
    let message = unsafe { CStr::from_ptr(error.message) };
    Err(format!(
        "libheif reports: {}",
        message.to_string_lossy().trim_end()
    ))
}

/// Copies a colour description that libheif allocated, and frees it. Null means none.
pub(super) fn take_coding(functions: &Functions, nclx: *mut Nclx) -> Option<Coding> {
    let owned = NonNull::new(nclx)?;
    // SAFETY: libheif has filled the struct, which begins with these fields in every version, and
    // it is freed once.
    unsafe {
        let nclx = owned.as_ref();
        let coding = Coding {
            primaries: nclx.primaries as u16,
            transfer: nclx.transfer as u16,
            matrix: nclx.matrix as u16,
            full_range: nclx.full_range != 0,
        };
        (functions.heif_nclx_color_profile_free)(owned.as_ptr());
        Some(coding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_library_its_package_is_named() {
        let names = ["libheif-of-nowhere.so.1", "heif-of-nowhere.dll"];
        let refusal = load(&names).err().unwrap();
        assert_eq!(
            refusal,
            "HEIC needs libheif, which is not installed (looked for libheif-of-nowhere.so.1, \
             heif-of-nowhere.dll): install it (package libheif1 on Debian and Ubuntu)"
        );
    }
}
