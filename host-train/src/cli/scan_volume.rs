//! `kscout scan --volume`.

use std::path::Path;

use kscout_core::Complex32;
use kscout_core::capture::{VolumeRepr, blob_crc};
use kscout_core::kspace::LineSet;
use kscout_core::model::Model;
use kscout_core::volume::{Place, VolumeError, VolumeScan, VolumeSetupError, volume_arena_bytes_with};

use super::Failure;
use super::scan_output::{print_dice, write_capture};
use crate::data::Volume;
use crate::data::measured::MeasuredVolume;
use crate::export::BlobFile;
use crate::figures::canvas::write_png;
use crate::figures::volume_panel::{VolumePanelInput, VolumePanelSlice, volume_panel};
use crate::metrics::dice::{SliceDice, Structure, slice_dice};
use crate::metrics::reference::Reference;
use crate::mri::observation::{levels_to_real, observed_levels};
use crate::runtime::{HeapArena, fastest};

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
    places: Vec<Place>,
    samples: Vec<Complex32>,
    classes: Vec<u8>,
    digest: u64,
}

impl VolumeJob<'_> {
    /// Scans, prints what came of it, and writes `picture` and `capture`. `masks` says whether the truth is known.
    pub fn run(&self, masks: bool, picture: Option<&Path>, capture: Option<&Path>) -> Result<(), Failure> {
        let outcome = self.scan()?;
        let dice = match masks {
            true => {
                let truth: Vec<u8> = self.volume.slices.iter().flat_map(|slice| &slice.label).copied().collect();
                Some(slice_dice(&outcome.classes, &truth)?)
            }
            false => None,
        };
        self.print(&outcome, dice.as_ref());
        if let Some(path) = picture {
            self.draw(path, &outcome, dice.as_ref())?;
        }
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
        let refused = |error: VolumeError| format!("{file}: {error}");
        let (slices, kernels) = (self.measured.slices.len(), fastest());
        let mut arena = HeapArena::new(volume_arena_bytes_with(self.model, slices, self.budget, &kernels));
        let mut scan =
            VolumeScan::with_kernels(self.model, arena.bytes(), slices, self.budget, kernels).map_err(|error| {
                match error {
                    VolumeSetupError::Budget { budget, min, max } => {
                        let [budget, min, max] = [budget, min, max].map(|lines| lines / slices);
                        format!("--budget {budget}: expected {min} to {max} lines a slice on average")
                    }
                    error => format!("{file}: {}: {error}", self.volume.name()),
                }
            })?;
        let (mut places, mut samples, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(place) = scan.propose_gaining(self.least_gain).map_err(|error| refused(error.into()))? {
            let measured = self.measured.slices[place.slice].kspace.line(place.line);
            scan.push_line(place, measured).map_err(|error| refused(error.into()))?;
            places.push(place);
            samples.extend_from_slice(measured);
        }
        for slice in 0..slices {
            let segmentation = scan.segment(slice).map_err(|error| refused(error.into()))?;
            classes.extend_from_slice(segmentation.classes);
        }
        let digest = scan.digest().map_err(|error| refused(error.into()))?;
        Ok(Outcome { places, samples, classes, digest })
    }

    fn print(&self, outcome: &Outcome, dice: Option<&SliceDice>) {
        let (slices, places) = (&self.volume.slices, &outcome.places);
        println!("{}, {} of {} lines for {} slices", self.volume.name(), places.len(), self.budget, slices.len());
        let visits: Vec<String> = places.iter().map(|place| place.slice.to_string()).collect();
        println!("slices  {}", visits.join(" "));
        for (number, slice) in slices.iter().enumerate() {
            let own = places.iter().filter(|place| place.slice == number);
            let lines: Vec<String> = own.map(|place| place.line.to_string()).collect();
            println!("lines   {number} ({}): {}", slice.id, lines.join(" "));
        }
        print_dice(dice);
        println!("digest  {:016x}", outcome.digest);
    }

    fn draw(&self, path: &Path, outcome: &Outcome, dice: Option<&SliceDice>) -> Result<(), Failure> {
        let (slices, width) = (&self.measured.slices, self.model.width());
        let reconstruction = self.model.reconstruction();
        let mut lines = vec![Vec::new(); slices.len()];
        for place in &outcome.places {
            lines[place.slice].push(place.line as u16);
        }
        let seen = slices.iter().zip(&lines).map(|(measured, lines)| {
            let mut mask = LineSet::new(width)?;
            for &line in lines {
                mask.insert(usize::from(line))?;
            }
            let levels = observed_levels(&measured.kspace, &mask, reconstruction);
            Ok((Reference::new(&measured.kspace), levels_to_real(&levels).collect::<Vec<f32>>()))
        });
        let seen: Vec<(Reference, Vec<f32>)> = seen.collect::<Result<_, Failure>>()?;
        let found = outcome.classes.chunks_exact(self.model.height() * width);
        let panels: Vec<VolumePanelSlice<'_>> = (0..slices.len())
            .zip(found)
            .map(|(z, labels)| VolumePanelSlice {
                lines: &lines[z],
                reference: seen[z].0.image(),
                image: &seen[z].1,
                labels,
                truth: if dice.is_some() { &self.volume.slices[z].label } else { &[] },
            })
            .collect();
        let (total, count) = (outcome.places.len(), slices.len());
        let title = format!("{}: {total} lines for {count} slices, shared by the policy", self.volume.name());
        let each = |(structure, dice): (Structure, &Option<f64>)| {
            dice.map_or(String::new(), |dice| format!(", {} {dice:.3}", structure.name()))
        };
        let dice = dice.map_or(String::new(), |dice| {
            let mean = dice.mean().map_or(String::new(), |mean| format!("; mean Dice {mean:.3}"));
            mean + &Structure::ALL.into_iter().zip(&dice.0).map(each).collect::<String>()
        });
        let mean = total as f64 / count.max(1) as f64;
        let subtitle = format!("{mean:.1} of {width} lines a slice, {reconstruction} images{dice}");
        let scale = (128 / width).max(1);
        let input = VolumePanelInput { title: &title, subtitle: &subtitle, width, scale, slices: &panels };
        write_png(path, &volume_panel(&input)?).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("{}", path.display());
        Ok(())
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
