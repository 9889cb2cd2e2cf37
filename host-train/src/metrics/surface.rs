//! Distances between surfaces in mm, as MedPy defines them.
//!
//! A surface is what one erosion takes away: voxels of a structure with a face neighbour outside it, the volume's
//! outside included. Distances run from each surface voxel of one segmentation to the nearest surface voxel of the
//! other, through an exact Euclidean distance transform (Felzenszwalb and Huttenlocher, *Distance Transforms of
//! Sampled Functions*, 2012), separable over the axes, with a voxel size of its own for each.

use crate::metrics::dice::{LabelVolume, MetricError, Structure};
use crate::metrics::stats::{mean, percentile};

/// Distances between the surfaces of one structure in two segmentations, in mm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SurfaceDistances {
    /// Hausdorff distance: the largest distance of either direction.
    pub hd_mm: f64,
    /// 95th percentile of the distances of both directions put together, linearly interpolated.
    pub hd95_mm: f64,
    /// Average symmetric surface distance: mean of the distances of both directions put together, which the golden
    /// vectors from MedPy have; other tools average the two directions' means.
    pub assd_mm: f64,
}

/// Compares the surfaces of a structure; `None` if either segmentation lacks it.
pub fn surface_distances(
    pred: &LabelVolume<'_>,
    truth: &LabelVolume<'_>,
    structure: Structure,
) -> Result<Option<SurfaceDistances>, MetricError> {
    if pred.shape() != truth.shape() {
        return Err(MetricError::Shape { pred: pred.shape(), truth: truth.shape() });
    }
    if pred.spacing_mm() != truth.spacing_mm() {
        return Err(MetricError::SpacingDiffers { pred: pred.spacing_mm(), truth: truth.spacing_mm() });
    }
    let Some(bounds) = Bounds::around([pred, truth], structure.label()) else {
        return Ok(None);
    };
    let surfaces = [pred, truth].map(|volume| bounds.crop(volume, structure.label()).surface());
    let [of_pred, of_truth] = &surfaces;
    let mut distances = of_truth.distances_of(of_pred, pred.spacing_mm());
    let back = of_pred.distances_of(of_truth, pred.spacing_mm());
    if distances.is_empty() || back.is_empty() {
        return Ok(None);
    }
    distances.extend(back);
    distances.sort_by(f64::total_cmp);
    Ok(mean(&distances).map(|assd_mm| SurfaceDistances {
        hd_mm: percentile(&distances, 100.0),
        hd95_mm: percentile(&distances, 95.0),
        assd_mm,
    }))
}

/// The box that holds a structure in both segmentations. Outside it there is only background, so that a surface is the
/// same inside the box as in the whole volume.
struct Bounds {
    low: [usize; 3],
    high: [usize; 3],
}

impl Bounds {
    fn around(volumes: [&LabelVolume<'_>; 2], label: u8) -> Option<Self> {
        let mut bounds: Option<Self> = None;
        for volume in volumes {
            let [_, height, width] = volume.shape();
            for (index, _) in volume.labels().iter().enumerate().filter(|&(_, &found)| found == label) {
                let at = [index / (height * width), index / width % height, index % width];
                let bounds = bounds.get_or_insert(Self { low: at, high: at });
                bounds.low = std::array::from_fn(|axis| bounds.low[axis].min(at[axis]));
                bounds.high = std::array::from_fn(|axis| bounds.high[axis].max(at[axis]));
            }
        }
        bounds
    }

    fn crop(&self, volume: &LabelVolume<'_>, label: u8) -> Mask {
        let [_, height, width] = volume.shape();
        let shape = [0, 1, 2].map(|axis| self.high[axis] - self.low[axis] + 1);
        let mut voxels = Vec::with_capacity(shape.iter().product());
        for z in self.low[0]..=self.high[0] {
            for y in self.low[1]..=self.high[1] {
                let row = (z * height + y) * width;
                let row = &volume.labels()[row + self.low[2]..=row + self.high[2]];
                voxels.extend(row.iter().map(|&found| found == label));
            }
        }
        Mask { voxels, shape }
    }
}

/// A binary volume `[z][y][x]`.
struct Mask {
    voxels: Vec<bool>,
    shape: [usize; 3],
}

impl Mask {
    fn strides(&self) -> [usize; 3] {
        [self.shape[1] * self.shape[2], self.shape[2], 1]
    }

    /// The voxels that an erosion by the six-neighbour cross removes.
    fn surface(&self) -> Self {
        let strides = self.strides();
        let on_surface = |index: usize| {
            (0..3).any(|axis| {
                let (stride, length) = (strides[axis], self.shape[axis]);
                let at = index / stride % length;
                at == 0 || at + 1 == length || !self.voxels[index - stride] || !self.voxels[index + stride]
            })
        };
        let voxels = self.voxels.iter().enumerate().map(|(index, &inside)| inside && on_surface(index)).collect();
        Self { voxels, shape: self.shape }
    }

    /// For each voxel of `other`, the distance in mm to the nearest voxel of this mask; none if this mask is empty.
    fn distances_of(&self, other: &Self, spacing_mm: [f64; 3]) -> Vec<f64> {
        if !self.voxels.contains(&true) {
            return Vec::new();
        }
        let squared = self.squared_distances(spacing_mm);
        let hits = other.voxels.iter().zip(squared).filter(|&(&inside, _)| inside);
        hits.map(|(_, squared)| squared.sqrt()).collect()
    }

    /// Squared distance in mm^2 of every voxel to the nearest voxel of the mask.
    fn squared_distances(&self, spacing_mm: [f64; 3]) -> Vec<f64> {
        let mut field: Vec<f64> = self.voxels.iter().map(|&inside| if inside { 0.0 } else { f64::INFINITY }).collect();
        let mut line = Vec::new();
        let mut envelope = Vec::new();
        for axis in [2, 1, 0] {
            let (stride, length) = (self.strides()[axis], self.shape[axis]);
            for start in (0..field.len()).filter(|index| index / stride % length == 0) {
                line.clear();
                line.extend((0..length).map(|step| field[start + step * stride]));
                lower_envelope(&line, spacing_mm[axis], &mut envelope);
                for (step, value) in envelope_values(&envelope, length, spacing_mm[axis]).enumerate() {
                    field[start + step * stride] = value;
                }
            }
        }
        field
    }
}

/// One parabola of a lower envelope: lowest from `from` on, to where the next one starts.
struct Parabola {
    from: f64,
    vertex: f64,
    height: f64,
}

/// The parabolas `height[i] + (x - i spacing)^2` that are lowest somewhere, from left to right.
fn lower_envelope(heights: &[f64], spacing: f64, envelope: &mut Vec<Parabola>) {
    envelope.clear();
    for (index, &height) in heights.iter().enumerate().filter(|(_, height)| height.is_finite()) {
        let vertex = index as f64 * spacing;
        let mut from = f64::NEG_INFINITY;
        while let Some(last) = envelope.last() {
            let rise = (height + vertex * vertex) - (last.height + last.vertex * last.vertex);
            from = rise / (2.0 * (vertex - last.vertex));
            if from > last.from {
                break;
            }
            envelope.pop();
            from = f64::NEG_INFINITY;
        }
        envelope.push(Parabola { from, vertex, height });
    }
}

/// The envelope's value at each of `length` voxels; infinite where there is no parabola at all.
fn envelope_values(envelope: &[Parabola], length: usize, spacing: f64) -> impl Iterator<Item = f64> + '_ {
    let mut current = 0;
    (0..length).map(move |index| {
        let x = index as f64 * spacing;
        while envelope.get(current + 1).is_some_and(|next| next.from < x) {
            current += 1;
        }
        envelope.get(current).map_or(f64::INFINITY, |low| low.height + (x - low.vertex) * (x - low.vertex))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn random_mask(rng: &mut ChaCha8Rng, shape: [usize; 3], density: f64) -> Mask {
        let voxels = (0..shape.iter().product()).map(|_| rng.random_bool(density)).collect();
        Mask { voxels, shape }
    }

    fn brute_force(mask: &Mask, spacing: [f64; 3]) -> Vec<f64> {
        let [_, height, width] = mask.shape;
        let at = |index: usize| [index / (height * width), index / width % height, index % width].map(|at| at as f64);
        let squared = |a: [f64; 3], b: [f64; 3]| (0..3).map(|i| ((a[i] - b[i]) * spacing[i]).powi(2)).sum::<f64>();
        let sites: Vec<_> = (0..mask.voxels.len()).filter(|&index| mask.voxels[index]).map(at).collect();
        let nearest = |from| sites.iter().map(|&site| squared(from, site)).fold(f64::INFINITY, f64::min);
        (0..mask.voxels.len()).map(|index| nearest(at(index))).collect()
    }

    #[test]
    fn distance_transform_equals_brute_force() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for (shape, density) in [([4, 9, 7], 0.02), ([1, 13, 5], 0.3), ([6, 1, 11], 0.1), ([5, 6, 7], 0.5)] {
            let mask = random_mask(&mut rng, shape, density);
            let spacing = [7.3, 1.5, 1.25];
            let fast = mask.squared_distances(spacing);
            for (fast, slow) in fast.iter().zip(brute_force(&mask, spacing)) {
                assert!(fast == &slow || (fast - slow).abs() < 1e-9, "{fast} is not {slow}");
            }
        }
    }

    #[test]
    fn surface_of_a_solid_cube_is_its_shell() {
        let cube = Mask { voxels: vec![true; 125], shape: [5, 5, 5] };
        assert_eq!(cube.surface().voxels.iter().filter(|&&on| on).count(), 125 - 27);
    }

    #[test]
    fn shift_by_one_slice_is_one_slice_away() {
        let mut pred = vec![0u8; 3 * 4 * 4];
        let mut truth = pred.clone();
        pred[5] = 3;
        truth[16 + 5] = 3;
        let volume = |labels| LabelVolume::new(labels, [3, 4, 4], [8.0, 1.5, 1.5]).unwrap();
        let distances = surface_distances(&volume(&pred), &volume(&truth), Structure::Lv).unwrap().unwrap();
        assert_eq!(distances, SurfaceDistances { hd_mm: 8.0, hd95_mm: 8.0, assd_mm: 8.0 });
    }

    #[test]
    fn volumes_of_different_shape_or_spacing_are_refused() {
        let labels = [1u8; 4];
        let volume = |shape, spacing| LabelVolume::new(&labels, shape, spacing).unwrap();
        let a = volume([1, 2, 2], [1.0; 3]);
        let compare = |b| surface_distances(&a, &b, Structure::Rv);
        assert!(matches!(compare(volume([2, 1, 2], [1.0; 3])), Err(MetricError::Shape { .. })));
        assert!(matches!(compare(volume([1, 2, 2], [2.0; 3])), Err(MetricError::SpacingDiffers { .. })));
    }
}
