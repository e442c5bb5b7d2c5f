//! Coding-independent code points (ITU-T H.273): the numbers by which containers name primaries and
//! transfer characteristics, and the ICC profile of the colours that they name.

use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace,
    MatrixCoefficients, ToneReprCurve, TransferCharacteristics,
};

use super::curve;

/// The primaries and the transfer characteristics of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cicp {
    pub(crate) primaries: u16,
    pub(crate) transfer: u16,
    /// The bits per sample, if black and white are not the lowest and the highest value but those of
    /// the narrow range, 16 and 235 of 8 bits.
    pub(crate) narrow_bits: Option<u8>,
}

impl Cicp {
    /// An ICC profile, unless the colours are sRGB. What is unspecified, reserved or unknown is taken
    /// as sRGB. The profile of a gray picture is one of gray.
    pub(crate) fn profile(self, is_gray: bool) -> Option<Vec<u8>> {
        let (primaries, transfer) = (self.primaries(), self.transfer());
        let is_srgb = transfer == TransferCharacteristics::Srgb
            && (is_gray || primaries == CicpColorPrimaries::Bt709);
        if is_srgb && self.narrow_bits.is_none() {
            return None;
        }
        let mut profile = ColorProfile::new_from_cicp(CicpProfile {
            color_primaries: primaries,
            transfer_characteristics: transfer,
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: self.narrow_bits.is_none(),
        });
        if let Some(bits) = self.narrow_bits {
            let curve = expanded(profile.red_trc.as_ref()?, bits)?;
            profile.red_trc = Some(curve.clone());
            profile.green_trc = Some(curve.clone());
            profile.blue_trc = Some(curve);
            profile.cicp = None;
        }
        if is_gray {
            let gray_curve = profile.red_trc;
            profile = ColorProfile::new_gray_with_gamma(1.0);
            profile.gray_trc = gray_curve;
            debug_assert_eq!(profile.color_space, DataColorSpace::Gray);
        }
        let mut bytes = profile.encode().ok()?;
        // The creation time (ICC.1:2022, 7.2.8) must not appear in a result.
        bytes.get_mut(24..36)?.fill(0);
        Some(bytes)
    }

    fn primaries(self) -> CicpColorPrimaries {
        const BT709: CicpColorPrimaries = CicpColorPrimaries::Bt709;
        let known = u8::try_from(self.primaries).map(CicpColorPrimaries::try_from);
        match known {
            Ok(Ok(primaries)) if ColorPrimaries::try_from(primaries).is_ok() => primaries,
            _ => BT709,
        }
    }

    /// The transfer characteristics by which pictures are shown. Those of television describe
    /// cameras; what they record is shown as it is, like sRGB, by browsers and other resizers.
    fn transfer(self) -> TransferCharacteristics {
        use TransferCharacteristics as Transfer;
        let known = u8::try_from(self.transfer).map(Transfer::try_from);
        match known {
            Ok(Ok(
                transfer @ (Transfer::Bt470M
                | Transfer::Bt470Bg
                | Transfer::Linear
                | Transfer::Log100
                | Transfer::Log100sqrt10
                | Transfer::Smpte2084
                | Transfer::Smpte428
                | Transfer::Hlg),
            )) => transfer,
            _ => Transfer::Srgb,
        }
    }
}

/// A curve for samples of the narrow range (H.273, 8.3, equations 20 to 22).
fn expanded(curve: &ToneReprCurve, bits: u8) -> Option<ToneReprCurve> {
    let scale = f64::from(1_u32 << bits.checked_sub(8)?);
    let full = f64::from((1_u32 << bits) - 1);
    let (black, span) = (16.0 * scale / full, 219.0 * scale / full);
    let light = |value: f64| curve::value(curve, ((value - black) / span).clamp(0.0, 1.0));
    Some(curve::table(light))
}
