//! The calls into libheif; all unsafe code for HEIC is in this module. The library is not linked: it
//! is loaded when the first HEIC picture is read, so that the program runs without it. The
//! declarations here are a part of `heif.h` of libheif 1.15; later versions only add to it.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{NonNull, null, null_mut};
use std::sync::LazyLock;

use libloading::Library;

use crate::codec::ycbcr::Coding;

mod image;

pub(super) use image::{Channel, Image, Plane};

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
const AS_STORED: c_int = 99;

#[repr(C)]
#[derive(Clone, Copy)]
struct HeifError {
    code: c_int,
    subcode: c_int,
    message: *const c_char,
}

/// The first fields of `heif_color_profile_nclx`.
#[repr(C)]
struct Nclx {
    version: u8,
    primaries: c_int,
    transfer: c_int,
    matrix: c_int,
    full_range: u8,
}

/// The first fields of `heif_security_limits`, which libheif has since 1.19. A limit of 0 is none.
#[repr(C)]
struct SecurityLimits {
    version: u8,
    // Of version 1:
    image_pixels: u64,
    tiles: u64,
    bayer_pattern_pixels: u32,
    items: u32,
    color_profile_bytes: u32,
    memory_block_bytes: u64,
    components: u32,
    extents_per_item: u32,
    entity_group_items: u32,
    children_per_box: u32,
    // Of version 2:
    total_memory_bytes: u64,
}

/// `heif_context_get_security_limits`: gives the limits of a context, which may be changed there.
type SecurityLimitsOf = unsafe extern "C" fn(*const c_void) -> *mut SecurityLimits;

macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The library's functions by their own names. Contexts, handles and images are opaque.
        #[allow(non_snake_case, reason = "the names are libheif's")]
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// Only later versions have this function.
            security_limits: Option<SecurityLimitsOf>,
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

static LIBHEIF: LazyLock<Result<Functions, String>> = LazyLock::new(|| load(NAMES));

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

fn check(error: HeifError) -> Result<(), String> {
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
fn take_coding(functions: &Functions, nclx: *mut Nclx) -> Option<Coding> {
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

/// A file opened by libheif.
struct Context<'a> {
    functions: &'static Functions,
    context: NonNull<c_void>,
    bytes: PhantomData<&'a [u8]>,
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        // SAFETY: the context is libheif's and is freed once.
        unsafe { (self.functions.heif_context_free)(self.context.as_ptr()) };
    }
}

/// The primary picture of a file. libheif rotates, mirrors and crops it.
pub(super) struct ImageHandle<'a> {
    functions: &'static Functions,
    handle: NonNull<c_void>,
    context: Context<'a>,
}

impl<'a> ImageHandle<'a> {
    /// Reads the boxes of a file without decoding a picture.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let functions = LIBHEIF.as_ref().map_err(Clone::clone)?;
        // SAFETY: the function has no conditions.
        let context = NonNull::new(unsafe { (functions.heif_context_alloc)() });
        let context = Context {
            functions,
            context: context.ok_or("there is not enough memory")?,
            bytes: PhantomData,
        };
        let mut handle = null_mut();
        // SAFETY: pointer and length belong to one slice, which outlives the context by its
        // lifetime; null means default options; `handle` is valid for writing.
        unsafe {
            // Tiles are decoded on the calling thread.
            (functions.heif_context_set_max_decoding_threads)(context.context.as_ptr(), 0);
            check((functions.heif_context_read_from_memory_without_copy)(
                context.context.as_ptr(),
                bytes.as_ptr().cast(),
                bytes.len(),
                null(),
            ))?;
            check((functions.heif_context_get_primary_image_handle)(
                context.context.as_ptr(),
                &raw mut handle,
            ))?;
        }
        Ok(Self {
            functions,
            handle: NonNull::new(handle).ok_or("it has no primary picture")?,
            context,
        })
    }

    fn number(&self, function: unsafe extern "C" fn(*const c_void) -> c_int) -> c_int {
        // SAFETY: the handle lives, and the functions with this type only read it.
        unsafe { function(self.handle.as_ptr()) }
    }

    /// Width and height after rotation and cropping.
    pub(super) fn size(&self) -> (u32, u32) {
        let width = self.number(self.functions.heif_image_handle_get_width);
        let height = self.number(self.functions.heif_image_handle_get_height);
        (width.max(0) as u32, height.max(0) as u32)
    }

    /// Width and height before rotation and cropping.
    pub(super) fn stored_size(&self) -> (u32, u32) {
        let width = self.number(self.functions.heif_image_handle_get_ispe_width);
        let height = self.number(self.functions.heif_image_handle_get_ispe_height);
        (width.max(0) as u32, height.max(0) as u32)
    }

    /// Bits per sample, if the file declares them.
    pub(super) fn bits(&self) -> Option<u8> {
        let bits = self.number(self.functions.heif_image_handle_get_luma_bits_per_pixel);
        u8::try_from(bits).ok().filter(|bits| *bits > 0)
    }

    pub(super) fn has_alpha(&self) -> bool {
        self.number(self.functions.heif_image_handle_has_alpha_channel) != 0
    }

    pub(super) fn is_premultiplied(&self) -> bool {
        self.number(self.functions.heif_image_handle_is_premultiplied_alpha) != 0
    }

    /// The colour profile. One of more than `most` bytes is an error, because without it the colours
    /// would be wrong.
    pub(super) fn icc(&self, most: u64) -> Result<Option<Vec<u8>>, String> {
        // SAFETY: the handle lives, and the second call writes as many bytes as the first returns.
        unsafe {
            let handle = self.handle.as_ptr();
            let size = (self.functions.heif_image_handle_get_raw_color_profile_size)(handle);
            if size as u64 > most {
                return Err(format!(
                    "its colour profile has {size} bytes; the limit is {most}"
                ));
            }
            let mut profile = vec![0; size];
            let target = profile.as_mut_ptr().cast();
            let read = (self.functions.heif_image_handle_get_raw_color_profile)(handle, target);
            Ok((size > 0 && read.code == 0).then_some(profile))
        }
    }

    /// The colour coding that the container declares.
    pub(super) fn coding(&self) -> Option<Coding> {
        let mut nclx = null_mut();
        // SAFETY: the handle lives and `nclx` is valid for writing.
        unsafe {
            let handle = self.handle.as_ptr();
            (self.functions.heif_image_handle_get_nclx_color_profile)(handle, &raw mut nclx);
        }
        take_coding(self.functions, nclx)
    }

    /// The first metadata item of this type and, if one is given, this content type. One of more than
    /// `most` bytes is left out.
    pub(super) fn metadata(
        &self,
        kind: &CStr,
        content_type: Option<&CStr>,
        most: u64,
    ) -> Option<Vec<u8>> {
        let mut ids = [0_u32; 16];
        let handle = self.handle.as_ptr();
        // SAFETY: the handle lives; the buffer has room for the given number of identifiers.
        let count = unsafe {
            (self
                .functions
                .heif_image_handle_get_list_of_metadata_block_IDs)(
                handle,
                kind.as_ptr(),
                ids.as_mut_ptr(),
                ids.len() as c_int,
            )
        };
        let ids = ids.get(..usize::try_from(count).ok()?)?;
        let id = *ids.iter().find(|id| {
            content_type.is_none_or(|wanted| {
                // SAFETY: the handle lives and has this item; the text, if there is one, ends with
                // a zero and lives until the next call.
                unsafe {
                    let found =
                        (self.functions.heif_image_handle_get_metadata_content_type)(handle, **id);
                    !found.is_null() && CStr::from_ptr(found) == wanted
                }
            })
        })?;
        // SAFETY: the handle lives and has this item, and the second call writes as many bytes as
        // the first returns.
        unsafe {
            let size = (self.functions.heif_image_handle_get_metadata_size)(handle, id);
            if size as u64 > most {
                return None;
            }
            let mut data = vec![0; size];
            let target = data.as_mut_ptr().cast();
            let read = (self.functions.heif_image_handle_get_metadata)(handle, id, target);
            (size > 0 && read.code == 0).then_some(data)
        }
    }

    /// Decodes the picture as it is stored. A picture with a side longer than `most_side` is
    /// refused, also if it is a part of this one. Later versions of libheif also refuse to take more
    /// than `memory` bytes.
    pub(super) fn decode(&self, most_side: u32, memory: u64) -> Result<Image, String> {
        let most_side = c_int::try_from(most_side).unwrap_or(c_int::MAX);
        let mut image = null_mut();
        // SAFETY: context and handle live, `image` is valid for writing, null means default
        // options.
        unsafe {
            let context = self.context.context.as_ptr();
            (self.functions.heif_context_set_maximum_image_size_limit)(context, most_side);
            if let Some(security_limits) = self.functions.security_limits
                && let Some(limits) = security_limits(context).as_mut()
            {
                // Each version of the struct has the fields of those before. The estimate was measured
                // with an older libheif, so there is room for another.
                let most = memory.saturating_mul(2).saturating_add(32 << 20);
                limits.memory_block_bytes = most;
                if limits.version >= 2 {
                    limits.total_memory_bytes = most;
                }
            }
            check((self.functions.heif_decode_image)(
                self.handle.as_ptr(),
                &raw mut image,
                AS_STORED,
                AS_STORED,
                null(),
            ))?;
        }
        Ok(Image {
            functions: self.functions,
            image: NonNull::new(image).ok_or("libheif returned no picture")?,
        })
    }
}

impl Drop for ImageHandle<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is libheif's and is released once, before its context.
        unsafe { (self.functions.heif_image_handle_release)(self.handle.as_ptr()) };
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
