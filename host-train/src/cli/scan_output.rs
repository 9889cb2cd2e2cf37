//! What a scan of a slice and one of a volume write and print alike.

use std::path::Path;

use super::Failure;
use crate::io::whole::write_atomically;
use crate::metrics::dice::{SliceDice, Structure};

/// Writes the bytes of a capture, and says so.
pub(super) fn write_capture(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_atomically(path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{}: {} bytes", path.display(), bytes.len());
    Ok(())
}

/// Prints the Dice of each structure.
pub(super) fn print_dice(dice: Option<&SliceDice>) {
    match dice {
        Some(dice) => {
            for structure in Structure::ALL {
                let value =
                    dice.0[structure.index()].map_or("neither in truth nor found".into(), |d| format!("{d:.4}"));
                println!("Dice    {:<4} {value}", structure.name());
            }
        }
        None => println!("Dice    not known: the data set has no masks"),
    }
}
