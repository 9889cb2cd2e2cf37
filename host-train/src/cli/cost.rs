//! How much work a `.kscout` file may ask for.

use std::path::Path;

use clap::Args;
use kscout_core::scan::{multiply_accumulates, other_operations};
use kscout_core::volume::{volume_multiply_accumulates, volume_other_operations};

use super::{Failure, number};
use crate::export::BlobFile;

/// Multiply-accumulates a pixel that no network known here comes near: a U-Net four times as wide as the published one takes 12 million.
const MOST_A_PIXEL: u64 = 1 << 24;

/// How much work a `.kscout` file may ask for.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct CostArgs {
    /// Most multiply-accumulates that a scan of a slice may take, and most comparisons and other operations; by default 2^24
    /// times the pixels of an image, more than any network here
    #[arg(long, value_name = "NUMBER", value_parser = number::whole::<u64>(1..=u64::MAX))]
    max_macs: Option<u64>,
}

impl CostArgs {
    /// The file `path`, unless a scan with it would take more than it may.
    pub(super) fn read(&self, path: &Path) -> Result<BlobFile, Failure> {
        let file = BlobFile::read(path)?;
        let model = file.model()?;
        let macs = multiply_accumulates(&model, model.width());
        // A slice's share of a volume's scan.
        let macs = macs.max(volume_multiply_accumulates(&model, 1, 1));
        let pixels = (model.height() as u64).saturating_mul(model.width() as u64);
        let most = self.max_macs.unwrap_or(pixels.saturating_mul(MOST_A_PIXEL));
        // A file may ask for work of other kinds, of which a network has little.
        let others = other_operations(&model, model.width()).max(volume_other_operations(&model, 1, 1));
        for (cost, what) in [(macs, "multiply-accumulates"), (others, "comparisons and other operations")] {
            if cost > most {
                let (name, cost, most) = (path.display(), in_words(cost), in_words(most));
                return Err(format!(
                    "{name}: a scan of a slice takes {cost} {what}, more than {most}; if you trust the file and can wait, give a \
                     larger --max-macs"
                )
                .into());
            }
        }
        Ok(file)
    }
}

/// What a scan with the file costs, in a sentence.
pub(super) fn cost(file: &BlobFile) -> Result<String, Failure> {
    let model = file.model()?;
    let (lines, most) = (model.width(), multiply_accumulates(&model, model.width()));
    let mut text =
        format!("a scan of a slice takes {} multiply-accumulates", in_words(multiply_accumulates(&model, 0)));
    if model.policy().is_some() {
        text = format!("{text}, {} with all {lines} lines", in_words(most));
    }
    // Of networks they are few; a file that says nothing of them would take any time.
    let others = other_operations(&model, lines);
    if others > most {
        text = format!("{text}, and {} comparisons and other operations", in_words(others));
    }
    if model.slice_policy().is_some() {
        text =
            format!("{text}; a line of a volume of 10 slices {}", in_words(volume_multiply_accumulates(&model, 10, 1)));
    }
    Ok(text)
}

/// A number of multiply-accumulates for people.
fn in_words(macs: u64) -> String {
    let number = macs as f64;
    match macs {
        0..1_000_000 => macs.to_string(),
        1_000_000..1_000_000_000 => format!("{:.1} million", number / 1e6),
        1_000_000_000..1_000_000_000_000 => format!("{:.1} billion", number / 1e9),
        _ => format!("{:.1} trillion", number / 1e12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_in_words() {
        let said = [999, 1_500_000, 68_117_070_848, u64::MAX].map(in_words);
        assert_eq!(said, ["999", "1.5 million", "68.1 billion", "18446744.1 trillion"]);
    }
}
