//! The calls into libheif; all unsafe code for HEIC is in this file and below.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{NonNull, null, null_mut};

use crate::codec::ycbcr::Coding;

mod image;
mod library;

pub(super) use image::{Channel, Image, Plane};
pub(crate) use library::preload;
use library::{AS_STORED, Functions, LIBHEIF, check, take_coding};

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
