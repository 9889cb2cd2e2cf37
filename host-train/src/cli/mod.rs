//! The command line, one file a subcommand.

mod baselines;
mod bench;
mod compare;
mod completions;
mod config;
mod cost;
mod data;
mod devices;
mod eval;
mod export;
mod import;
mod inspect;
mod limit;
mod man;
mod masks;
mod measuring;
mod merge;
mod metrics;
mod net;
mod notes;
mod number;
mod predict;
mod program;
mod relabel;
mod reproduce;
mod sampler;
mod scan;
mod scan_output;
mod scan_volume;
mod shard;
mod spacing;
mod sweep;
mod threads;
mod train;
mod verify;

use std::path::Path;

use clap::{Command as CommandLine, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use compare::read_results;
pub(crate) use net::read_npy;
pub use program::program;

use crate::io::stop;

/// What a subcommand fails with: any error that can be shown to a person.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// Learns which k-space lines an MRI scanner should measure, so that a heart can be segmented from few of them.
///
/// The usual way: `data import` or `data phantom`, `train segmenter`, `train line-policy`, `eval`, `export`, `verify`, `scan`.
#[derive(Parser)]
#[command(name = "kscout", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make or inspect data sets.
    Data(data::DataArgs),
    /// Train a segmenter, a classifier, a policy of lines or of slices, or a fixed mask.
    Train(train::TrainArgs),
    /// Import weights from PyTorch: a segmenter's, ASMR's policy's or its classifier's.
    Import(import::ImportArgs),
    /// Copy a segmenter's checkpoint for images of another reconstruction, with the same weights.
    Relabel(relabel::RelabelArgs),
    /// Run a network on arrays, or list its layers and what they cost.
    Net(net::NetArgs),
    /// List the devices that this build of kscout and this machine have.
    Devices(devices::DevicesArgs),
    /// Show the weights of the sampler that draws slices by the classes they contain.
    Sampler(sampler::SamplerArgs),
    /// Compare a policy with fixed patterns, learned masks and oracles over a range of budgets: tables, statistics, pictures.
    Eval(eval::EvalArgs),
    /// Compare methods of several evaluations, by patient.
    Compare(compare::CompareArgs),
    /// Run every step from data to the tables of the results.
    Reproduce(reproduce::ReproduceArgs),
    /// Record the masks that a policy or a baseline makes of the training slices, for a segmenter to be tuned to.
    Masks(masks::MasksArgs),
    /// Put together what several processes have done with --shard.
    Merge(merge::MergeArgs),
    /// Quantise segmenter and policy to int8 and write them into one `.kscout` file.
    Export(export::ExportArgs),
    /// List what a `.kscout` file holds and needs.
    Inspect(inspect::InspectArgs),
    /// Time the networks of a `.kscout` file on this machine, beside the portable kernels.
    Bench(bench::BenchArgs),
    /// Compare a `.kscout` file with the networks it was made from.
    Verify(verify::VerifyArgs),
    /// Segment NIfTI volumes and PNG pictures.
    Predict(predict::PredictArgs),
    /// Compare segmentations with the truth: two NIfTI files, or two folders of them.
    Metrics(metrics::MetricsArgs),
    /// Run one scan and draw it.
    Scan(scan::ScanArgs),
    /// Print a script that completes this program's commands and options in a shell.
    Completions(completions::CompletionsArgs),
    /// Write manual pages.
    Man(man::ManArgs),
}

/// Refuses to write `out`, the value of `option`, over one of the files that the command reads. Any other file of that name is
/// replaced, whole, once the command has all that goes into it.
fn expect_no_input(option: &str, out: &Path, inputs: &[&Path]) -> Result<(), Failure> {
    let real = |path: &Path| path.canonicalize().ok();
    let is_input = |input: &&&Path| real(out).is_some_and(|out| real(input) == Some(out));
    match inputs.iter().find(is_input) {
        Some(_) => {
            Err(format!("{option} {}: is what is read, and would be lost; name another file", out.display()).into())
        }
        None => Ok(()),
    }
}

/// All subcommands of the program `kscout`, and their options.
pub fn command_line() -> CommandLine {
    number::with_signs(Cli::command())
}

impl Cli {
    /// Whether the subcommand goes on when nobody can read what it prints: for hours of work that is no reason to end.
    pub fn outlives_terminal(&self) -> bool {
        matches!(self.command, Command::Train(_) | Command::Reproduce(_))
    }

    /// Reads the arguments of this process; ends it where they are wrong, or help was asked for.
    pub fn read() -> Self {
        let matches = command_line().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Runs the subcommand.
    pub fn run(self) -> Result<(), Failure> {
        stop::watch(self.outlives_terminal());
        self.command.run()
    }
}

impl Command {
    fn run(self) -> Result<(), Failure> {
        match self {
            Command::Data(args) => args.run(),
            Command::Train(args) => args.run(),
            Command::Import(args) => args.run(),
            Command::Relabel(args) => args.run(),
            Command::Net(args) => args.run(),
            Command::Devices(args) => args.run(),
            Command::Sampler(args) => args.run(),
            Command::Eval(args) => args.run(),
            Command::Compare(args) => args.run(),
            Command::Reproduce(args) => args.run(),
            Command::Masks(args) => args.run(),
            Command::Merge(args) => args.run(),
            Command::Export(args) => args.run(),
            Command::Inspect(args) => args.run(),
            Command::Bench(args) => args.run(),
            Command::Verify(args) => args.run(),
            Command::Predict(args) => args.run(),
            Command::Metrics(args) => args.run(),
            Command::Scan(args) => args.run(),
            Command::Completions(args) => args.run(),
            Command::Man(args) => args.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with running `arguments`, split at blanks, with every `@` in them the folder.
    fn refused(folder: &Path, arguments: &str) -> String {
        let words = arguments.split(' ').map(|word| word.replace('@', &format!("{}/", folder.display())));
        let matches = command_line().try_get_matches_from(std::iter::once("kscout".to_owned()).chain(words));
        let ran = match Cli::from_arg_matches(&matches.unwrap()).unwrap().command {
            Command::Export(args) => args.run(),
            Command::Masks(args) => args.run(),
            Command::Compare(args) => args.run(),
            Command::Relabel(args) => args.run(),
            Command::Net(args) => args.run(),
            Command::Scan(args) => args.run(),
            _ => panic!("{arguments}: not run here"),
        };
        ran.unwrap_err().to_string()
    }

    #[test]
    fn no_command_writes_over_what_it_reads() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path();
        let files = ["a.kscout", "m.json", "p.json", "x.npy", "w.pth", "results.csv"];
        for file in files {
            std::fs::write(folder.join(file), file).unwrap();
        }
        let written = [
            "export --from @a.kscout --onnx @a.kscout",
            "masks --model @a.kscout --data @none --out @a.kscout",
            "masks --model @a.kscout --data @none --mask @m.json --out @m.json",
            "masks --model @a.kscout --data @none --positions @p.json --out @p.json",
            "compare @:a --with @:b --out @results.csv",
            "compare @:a --with @:b --plot @results.csv",
            "compare @:a --with @:b --trade @results.csv",
            "net forward --arch unet --weights @w.pth --input @x.npy --output @x.npy",
            "net forward --arch unet --weights @w.pth --input @x.npy --output @w.pth",
            "net forward --blob @a.kscout --input @x.npy --output @a.kscout",
            "scan @a.kscout --data @none --slice p/1 --budget 8 --mask @m.json --out @m.json",
            "scan @a.kscout --data @none --slice p/1 --budget 8 --capture @a.kscout",
        ];
        for arguments in written {
            let said = refused(folder, arguments);
            assert!(said.contains("is what is read, and would be lost"), "{arguments}: {said}");
        }
        for file in files {
            assert_eq!(std::fs::read_to_string(folder.join(file)).unwrap(), file);
        }
    }
}
