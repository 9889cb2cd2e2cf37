//! A scan of a volume with a small model of random weights on the host: what other targets repeat.

use std::path::Path;

use kscout::export::blob_writer::{GraphSpec, HeaderSpec, TensorSpec, write_graphs};
use kscout::runtime::HeapArena;
use kscout_core::Complex32;
use kscout_core::capture::{VolumeRepr, blob_crc};
use kscout_core::contract::FEATURES;
use kscout_core::kernels::{Kernels, Layout, Shape};
use kscout_core::kspace::Reconstruction;
use kscout_core::model::{GraphKind, Model};
use kscout_core::volume::{Place, VolumeScan, volume_arena_bytes_with};

use crate::small_model::{Net, Random, SIDE, header, segmenter, write_files};

/// Slices of the volume.
pub const SLICES: usize = 4;
/// Lines that the scan may measure, of all slices together.
pub const BUDGET: usize = 24;
/// A least gain with which the scan ends before its budget is spent, zero-filled and half-homodyne.
pub const EARLY: f32 = 0.00105;

/// A scan of a volume on the host.
pub struct HostVolumeScan {
    /// `VolumeScan::digest` at the end.
    pub digest: u64,
    /// Slice and line of each measured line, in order.
    pub places: Vec<Place>,
    least_gain: f32,
    samples: Vec<Complex32>,
}

impl HostVolumeScan {
    /// Scans with `kernels`, until no line is expected to gain `least_gain`. K-space is random, strongest in the middle, and
    /// of each slice in another way.
    pub fn new<K: Kernels>(blob: &[u8], kernels: K, least_gain: f32) -> Self {
        let mut random = Random(11);
        let volume: Vec<Vec<Complex32>> = (0..SLICES).map(|slice| kspace(&mut random, 0.5 + slice as f32)).collect();
        let model = Model::new_checked(blob).unwrap();
        let mut arena = HeapArena::new(volume_arena_bytes_with(&model, SLICES, BUDGET, &kernels));
        let mut scan = VolumeScan::with_kernels(&model, arena.bytes(), SLICES, BUDGET, kernels).unwrap();
        let (mut places, mut samples) = (Vec::new(), Vec::new());
        while let Some(place) = scan.propose_gaining(least_gain).unwrap() {
            let measured = &volume[place.slice][place.line * SIDE..][..SIDE];
            scan.push_line(place, measured).unwrap();
            places.push(place);
            samples.extend_from_slice(measured);
        }
        Self { digest: scan.digest().unwrap(), places, least_gain, samples }
    }

    /// Lines of each slice.
    pub fn lines(&self) -> [usize; SLICES] {
        let mut lines = [0; SLICES];
        self.places.iter().for_each(|place| lines[place.slice] += 1);
        lines
    }

    /// Writes the blob and this scan into `folder`, as `name.kscout` and `name.kscan`; returns their paths.
    pub fn write(&self, folder: &Path, name: &str, blob: &[u8]) -> [String; 2] {
        let &Self { digest, least_gain, ref places, ref samples } = self;
        let (height, width, slices, budget) = (SIDE, SIDE, SLICES, BUDGET);
        let blob_crc = blob_crc(blob);
        let repr = VolumeRepr { height, width, slices, budget, least_gain, blob_crc, digest, places, samples };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut bytes).unwrap();
        write_files(folder, name, blob, &bytes)
    }
}

/// Line-major k-space whose amplitude falls with the distance from its middle, the wider the slower.
fn kspace(random: &mut Random, wide: f32) -> Vec<Complex32> {
    let half = SIDE as f32 / 2.0;
    let sample = |i: usize| {
        let (line, sample) = ((i / SIDE) as f32 - half, (i % SIDE) as f32 - half);
        let amplitude = 100.0 / (1.0 + (line * line + sample * sample) / wide);
        Complex32::new(random.unit(), random.unit()) * amplitude
    };
    (0..SIDE * SIDE).map(sample).collect()
}

/// The small segmenter with a slice policy, and an order of lines of its own. Whatever the layout, the scan is the same.
pub fn random_volume_blob(layout: Layout, reconstruction: Reconstruction) -> Vec<u8> {
    // The middle two lines, then every other one around them, then those between.
    let middle = SIDE as u16 / 2;
    let around = [0, 1].into_iter().flat_map(|odd| (middle / 2 + odd..3 * middle / 2).step_by(2));
    let first = [middle, middle - 1];
    let order: Vec<u16> = first.into_iter().chain(around.filter(|line| !first.contains(line))).collect();
    let random = &mut Random(1);
    let (segmenter, policy) = (segmenter(random), slice_policy(random));
    let graphs = [(GraphKind::Segmenter, &segmenter), (GraphKind::SlicePolicy, &policy)];
    write_graphs(&HeaderSpec { reconstruction, ..header(layout) }, &graphs, &order).unwrap()
}

/// A slice policy of four outputs.
fn slice_policy(random: &mut Random) -> GraphSpec {
    let mut net = Net { graph: GraphSpec::default(), random };
    let view = TensorSpec { shape: Shape::new(1, 1, FEATURES), scale: 1.0 / 127.0, zero_point: 0 };
    let view = net.graph.input(view);
    let x = net.conv(view, 24, (1, 1, 0));
    net.conv(x, 4, (1, 1, 0));
    net.graph
}

#[cfg(test)]
mod tests {
    use kscout_core::contract::FIRST_LINES;
    use kscout_core::kernels::Portable;

    use super::*;

    #[test]
    fn the_slices_get_lines_of_their_own_number_and_the_scan_can_stop_early() {
        let blob = random_volume_blob(Layout::Portable, Reconstruction::ZeroFilled);
        let scan = HostVolumeScan::new(&blob, Portable, 0.0);
        let lines = scan.lines();
        assert_eq!(lines.iter().sum::<usize>(), BUDGET);
        let own = lines.iter().filter(|&&lines| lines > FIRST_LINES).count();
        assert!(own > 1 && lines.iter().any(|&other| other != lines[0]), "{lines:?}");
        let moves = scan.places.windows(2).filter(|pair| pair[0].slice != pair[1].slice).count();
        assert!(moves > SLICES + 2, "slices are visited again: {:?}", scan.places);

        for reconstruction in [Reconstruction::ZeroFilled, Reconstruction::HalfHomodyne] {
            let blob = random_volume_blob(Layout::Portable, reconstruction);
            let stopped = HostVolumeScan::new(&blob, Portable, EARLY);
            assert!(
                SLICES * FIRST_LINES < stopped.places.len() && stopped.places.len() < BUDGET,
                "{:?}",
                stopped.places
            );
        }
    }
}
