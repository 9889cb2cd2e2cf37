//! `kscout scan --volume`.

use std::path::Path;

use kscout_core::Complex32;
use kscout_core::capture::{VolumeRepr, blob_crc};
use kscout_core::model::Model;
use kscout_core::volume::{VolumeError, VolumeScan, volume_arena_bytes_with};

use super::Failure;
use super::scan::{print_dice, write_capture};
use crate::data::Volume;
use crate::eval::metrics::{SliceDice, slice_dice};
use crate::export::BlobFile;
use crate::kernels::fastest;
use crate::measure::MeasuredVolume;
use crate::segment::HeapArena;

/// A scan of a volume whose slices share a budget.
pub(super) struct VolumeJob<'a> {
    /// Where the networks are.
    pub path: &'a Path,
    /// What is there.
    pub file: &'a BlobFile,
    /// The file's model.
    pub model: &'a Model<'a>,
    /// What is scanned.
    pub volume: &'a Volume<'a>,
    /// The same, measured.
    pub measured: &'a MeasuredVolume<'a>,
    /// Lines that the scan may measure, of all slices together.
    pub budget: usize,
    /// What another line must promise to gain.
    pub least_gain: f32,
}

/// What came of it.
struct Outcome {
    places: Vec<[u16; 2]>,
    samples: Vec<Complex32>,
    classes: Vec<u8>,
    digest: u64,
}

impl VolumeJob<'_> {
    /// Scans, prints what came of it, and writes `capture`. `masks` says whether the truth is known.
    pub fn run(&self, masks: bool, capture: Option<&Path>) -> Result<(), Failure> {
        let outcome = self.scan()?;
        let dice = match masks {
            true => {
                let truth: Vec<u8> = self.volume.slices.iter().flat_map(|slice| &slice.label).copied().collect();
                Some(slice_dice(&outcome.classes, &truth)?)
            }
            false => None,
        };
        self.print(&outcome, dice.as_ref());
        match capture {
            Some(path) => self.write(path, &outcome),
            None => Ok(()),
        }
    }

    fn scan(&self) -> Result<Outcome, Failure> {
        let file = self.path.display();
        if self.model.slice_policy().is_none() {
            return Err(format!("{file}: holds no slice policy; `kscout export --slice-policy` writes one").into());
        }
        let refused = |error| format!("{file}: {error}");
        let (slices, kernels) = (self.measured.slices.len(), fastest());
        let mut arena = HeapArena::new(volume_arena_bytes_with(self.model, slices, self.budget, &kernels));
        let mut scan =
            VolumeScan::with_kernels(self.model, arena.bytes(), slices, self.budget, kernels).map_err(|error| {
                match error {
                    VolumeError::Budget { budget, min, max } => {
                        let [budget, min, max] = [budget, min, max].map(|lines| lines / slices);
                        format!("--budget {budget}: expected {min} to {max} lines a slice on average")
                    }
                    error => format!("{file}: {}: {error}", self.volume.name()),
                }
            })?;
        let (mut places, mut samples, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        while let Some((slice, line)) = scan.propose_worth(self.least_gain).map_err(refused)? {
            let measured = self.measured.slices[slice].kspace.line(line);
            scan.push_line(slice, measured).map_err(refused)?;
            places.push([slice as u16, line as u16]);
            samples.extend_from_slice(measured);
        }
        for slice in 0..slices {
            classes.extend_from_slice(scan.segment(slice).map_err(refused)?);
        }
        let digest = scan.digest().map_err(refused)?;
        Ok(Outcome { places, samples, classes, digest })
    }

    fn print(&self, outcome: &Outcome, dice: Option<&SliceDice>) {
        let (slices, places) = (&self.volume.slices, &outcome.places);
        println!("{}, {} of {} lines for {} slices", self.volume.name(), places.len(), self.budget, slices.len());
        let visits: Vec<String> = places.iter().map(|[slice, _]| slice.to_string()).collect();
        println!("slices  {}", visits.join(" "));
        for (number, slice) in slices.iter().enumerate() {
            let own = places.iter().filter(|&&[of, _]| usize::from(of) == number);
            let lines: Vec<String> = own.map(|[_, line]| line.to_string()).collect();
            println!("lines   {number} ({}): {}", slice.id, lines.join(" "));
        }
        print_dice(dice);
        println!("digest  {:016x}", outcome.digest);
    }

    fn write(&self, path: &Path, outcome: &Outcome) -> Result<(), Failure> {
        let capture = VolumeRepr {
            height: self.model.height(),
            width: self.model.width(),
            slices: self.volume.slices.len(),
            budget: self.budget,
            least_gain: self.least_gain,
            blob_crc: blob_crc(self.file.bytes()),
            digest: outcome.digest,
            places: &outcome.places,
            samples: &outcome.samples,
        };
        let mut bytes = vec![0; capture.buffer_len()];
        capture.emit(&mut bytes)?;
        write_capture(path, &bytes)
    }
}
