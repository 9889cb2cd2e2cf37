//! `--threads`: how many threads compute.

use clap::Args;

use super::{Failure, number};

/// `--threads`.
#[derive(Args, Clone)]
pub struct Threads {
    /// Threads to compute with, instead of one for each core. Results do not depend on it.
    #[arg(long, value_name = "N", value_parser = number::whole::<usize>(1..=1024))]
    threads: Option<usize>,
}

impl Threads {
    /// Makes all that computes in parallel use so many threads, in this process and in those that it starts.
    pub fn set(&self) -> Result<(), Failure> {
        if let Some(threads) = self.threads {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build_global().map_err(|error| format!("--threads {threads}: {error}"))?;
        }
        Ok(())
    }
}
