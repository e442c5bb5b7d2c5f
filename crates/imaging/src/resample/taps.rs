//! Computes the weights of a horizontal or vertical resampling pass.

use crate::options::Filter;

use super::kernel::Kernel;

/// The source samples of each result sample, and their weights. Every result sample has the same
/// number of consecutive source samples.
#[derive(Clone, Debug)]
pub(crate) struct Taps {
    /// The number of source samples per result sample.
    pub(crate) count: usize,
    /// The first source sample of each result sample, in ascending order.
    firsts: Vec<usize>,
    weights: Vec<f32>,
}

impl Taps {
    /// For `results` samples from a part that starts at `from` and is `span` long, of a source with
    /// `length` samples. The kernel may extend beyond the part. `None` for nearest-neighbour.
    pub(crate) fn new(
        length: usize,
        (from, span): (f64, f64),
        results: u32,
        filter: Filter,
    ) -> Option<Self> {
        let kernel = Kernel::of(filter)?;
        let step = span / f64::from(results);
        // The kernel is stretched when shrinking, so that every source sample contributes.
        let stretch = step.max(1.0);
        let reach = kernel.reach * stretch;
        let count = ((2.0 * reach).ceil() as usize + 1).min(length);
        let mut taps = Self {
            count,
            firsts: Vec::with_capacity(results as usize),
            weights: Vec::with_capacity(results as usize * count),
        };
        let mut weights = vec![0.0; count];
        for result in 0..results {
            let middle = from + (f64::from(result) + 0.5) * step;
            let first = ((middle - reach).max(0.0) as usize).min(length - count);
            for (index, weight) in weights.iter_mut().enumerate() {
                let distance = (first + index) as f64 + 0.5 - middle;
                *weight = (kernel.weight)(distance / stretch);
            }
            let sum: f64 = weights.iter().sum();
            taps.firsts.push(first);
            taps.weights
                .extend(weights.iter().map(|weight| (weight / sum) as f32));
        }
        Some(taps)
    }

    /// The first source sample of each result sample, and the weights from there on.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (usize, &[f32])> {
        let weights = self.weights.chunks_exact(self.count);
        self.firsts.iter().copied().zip(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_takes_the_mean_of_what_it_covers() {
        let taps = Taps::new(8, (0.0, 8.0), 4, Filter::Box).expect("a box has weights");
        for (result, (first, weights)) in taps.iter().enumerate() {
            let used: Vec<_> = (first..).zip(weights).filter(|(_, w)| **w > 0.0).collect();
            assert_eq!(used, [(2 * result, &0.5), (2 * result + 1, &0.5)]);
        }
    }

    #[test]
    fn taps_stay_inside_and_sum_to_one() {
        for (length, from, span, results) in [
            (1, 0.0, 1.0, 50),
            (7, 0.3, 6.2, 2),
            (100, 40.0, 60.0, 90),
            (5, 4.5, 0.5, 1),
        ] {
            let taps = Taps::new(length, (from, span), results, Filter::Lanczos3);
            let taps = taps.expect("Lanczos has weights");
            assert_eq!(taps.iter().count(), results as usize);
            for (first, weights) in taps.iter() {
                assert!(first + weights.len() <= length);
                assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            }
        }
    }
}
