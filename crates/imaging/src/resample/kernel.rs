//! The resampling kernels: the weight of a sample by its distance from the centre of a result
//! sample.

use std::f64::consts::PI;
use std::sync::LazyLock;

use crate::options::Filter;

/// The largest radius of a kernel, in pixels of the smaller picture.
pub(super) const LONGEST_REACH: f64 = 3.0;

/// A resampling kernel. Distances are in pixels of the smaller picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    pub(super) name: &'static str,
    /// The kernel's radius: the weight is 0 beyond it.
    pub(super) reach: f64,
    /// The weight at a distance, which may be negative.
    pub(super) weight: fn(f64) -> f64,
}

impl Kernel {
    /// `None` for nearest-neighbour, which has no kernel.
    pub(super) fn of(filter: Filter) -> Option<Self> {
        let (name, reach, weight): (_, _, fn(f64) -> f64) = match filter {
            Filter::Lanczos3 => ("Lanczos3", LONGEST_REACH, lanczos3),
            Filter::CatmullRom => ("CatmullRom", 2.0, catmull_rom),
            Filter::Mitchell => ("Mitchell", 2.0, mitchell),
            Filter::Bilinear => ("Bilinear", 1.0, triangle),
            Filter::Box => ("Box", 0.5, square),
            Filter::Nearest => return None,
        };
        Some(Self {
            name,
            reach,
            weight,
        })
    }
}

/// Weighs everything within half a pixel equally; of two samples at both ends only the first.
fn square(x: f64) -> f64 {
    if x > -0.5 && x <= 0.5 { 1.0 } else { 0.0 }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

fn catmull_rom(x: f64) -> f64 {
    cubic(x, 0.0, 0.5)
}

fn mitchell(x: f64) -> f64 {
    cubic(x, 1.0 / 3.0, 1.0 / 3.0)
}

/// The family of cubic kernels with the parameters B and C (Mitchell and Netravali, "Reconstruction
/// Filters in Computer Graphics", 1988, formula 8).
fn cubic(x: f64, b: f64, c: f64) -> f64 {
    let x = x.abs();
    let polynomial = |cube: f64, square: f64, line: f64, constant: f64| {
        (((cube * x + square) * x + line) * x + constant) / 6.0
    };
    if x < 1.0 {
        let (cube, square) = (12.0 - 9.0 * b - 6.0 * c, -18.0 + 12.0 * b + 6.0 * c);
        polynomial(cube, square, 0.0, 6.0 - 2.0 * b)
    } else if x < 2.0 {
        let (cube, square) = (-b - 6.0 * c, 6.0 * b + 30.0 * c);
        polynomial(cube, square, -12.0 * b - 48.0 * c, 8.0 * b + 24.0 * c)
    } else {
        0.0
    }
}

/// The number of table entries per lobe of the Lanczos kernel.
const STEPS: usize = 1024;

/// The Lanczos kernel at points from 0 to 3, and one beyond.
static LANCZOS3: LazyLock<Vec<f64>> = LazyLock::new(|| {
    (0..3 * STEPS + 2)
        .map(|step| exact_lanczos3(step as f64 / STEPS as f64))
        .collect()
});

/// The Lanczos kernel with three lobes, to six decimals.
///
/// It is looked up in a table: a thumbnail has some 20 000 weights, and computing two sines for
/// each took a tenth of the time of resampling.
fn lanczos3(x: f64) -> f64 {
    let place = (x.abs() * STEPS as f64).min((3 * STEPS) as f64);
    let step = place as usize;
    let (low, high) = (LANCZOS3[step], LANCZOS3[step + 1]);
    low + (high - low) * (place - step as f64)
}

/// sinc(x) · sinc(x ÷ 3) up to 3.
///
/// One polynomial gives both sines, because sin 3t = 3 sin t − 4 sin³ t. Unlike the C library's
/// sine, it gives the same bits on every machine.
fn exact_lanczos3(x: f64) -> f64 {
    let third = x / 3.0;
    if third >= 1.0 {
        return 0.0;
    }
    if third == 0.0 {
        return 1.0;
    }
    let sine = sine_of_pi(third.min(1.0 - third));
    let square = sine * sine;
    square * (3.0 - 4.0 * square) / (3.0 * (PI * third) * (PI * third))
}

/// sin πx for 0 ≤ x ≤ ½, by its Taylor series up to x¹⁷.
fn sine_of_pi(x: f64) -> f64 {
    let angle = PI * x;
    let square = angle * angle;
    let mut sum = 1.0;
    for order in [16.0, 14.0, 12.0, 10.0, 8.0, 6.0, 4.0, 2.0] {
        sum = 1.0 - sum * square * (1.0 / (order * (order + 1.0)));
    }
    angle * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_shifted_kernels_sum_to_one() {
        for filter in [
            Filter::CatmullRom,
            Filter::Mitchell,
            Filter::Bilinear,
            Filter::Box,
        ] {
            let Kernel { reach, weight, .. } = Kernel::of(filter).expect("it has a kernel");
            for step in 0..100 {
                let shift = f64::from(step) / 100.0;
                let sum: f64 = (-3..=3).map(|x| weight(f64::from(x) + shift)).sum();
                assert!((sum - 1.0).abs() < 1e-12, "{filter:?} at {shift}: {sum}");
            }
            assert_eq!((weight(-reach), weight(reach + 0.01)), (0.0, 0.0));
        }
    }

    #[test]
    fn the_lanczos_kernel_is_the_product_of_two_sincs() {
        let sinc = |x: f64| match x {
            0.0 => 1.0,
            _ => (PI * x).sin() / (PI * x),
        };
        for step in -3500..=3500 {
            let x = f64::from(step) / 1000.0;
            let expected = if x.abs() < 3.0 {
                sinc(x) * sinc(x / 3.0)
            } else {
                0.0
            };
            let error = (exact_lanczos3(x.abs()) - expected).abs();
            assert!(error < 1e-12, "{x}: off by {error}");
            let error = (lanczos3(x) - expected).abs();
            assert!(error < 1e-6, "{x}: off by {error} when looked up");
        }
    }
}
