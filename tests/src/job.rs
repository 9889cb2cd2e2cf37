//! A folder of a test's own, in which the binary makes a phantom data set and trains on it.

use std::fs;

use crate::{Ran, run};

/// The binary, and a folder that goes away with the test.
pub struct Job {
    exe: &'static str,
    folder: tempfile::TempDir,
}

impl Job {
    /// The binary `exe` and a folder with a phantom data set, `data`, of `patients` patients in slices of `size` pixels.
    ///
    /// # Panics
    /// If the data set cannot be made.
    pub fn new(exe: &'static str, patients: usize, seed: u64, size: usize) -> Self {
        let job = Self { exe, folder: tempfile::tempdir().unwrap() };
        let (data, numbers) = (job.path("data"), [patients.to_string(), seed.to_string(), size.to_string()]);
        let [patients, seed, size] = &numbers;
        job.run(&["data", "phantom", &data, "--patients", patients, "--seed", seed, "--size", size]).succeeded();
        job
    }

    /// The path of `name` in the folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes `text` to the file `name` in the folder; returns its path.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Words of a command, in which `NAME/` stands for the folder.
    pub fn words(&self, command: &str) -> Vec<String> {
        command.split_whitespace().map(|word| word.replace("NAME/", &self.path(""))).collect()
    }

    /// Runs the binary.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        run(self.exe, arguments)
    }

    /// Runs the binary with the words of a command, in which `NAME/` stands for the folder.
    pub fn run_words(&self, command: &str) -> Ran {
        run(self.exe, self.words(command))
    }

    /// Trains a segmenter into the folder `out`, with `keys` of its configuration set.
    pub fn train_segmenter(&self, out: &str, keys: &[&str], options: &[&str]) -> Ran {
        self.train("segmenter", out, keys, options)
    }

    /// Trains a line policy for the segmenter in the folder `reward` into the folder `out`.
    pub fn train_line_policy(&self, (reward, out): (&str, &str), keys: &[&str], options: &[&str]) -> Ran {
        self.train_policy("line-policy", (reward, out), keys, options)
    }

    /// Trains a slice policy for the segmenter in the folder `reward` into the folder `out`.
    pub fn train_slice_policy(&self, (reward, out): (&str, &str), keys: &[&str], options: &[&str]) -> Ran {
        self.train_policy("slice-policy", (reward, out), keys, options)
    }

    fn train_policy(&self, what: &str, (reward, out): (&str, &str), keys: &[&str], options: &[&str]) -> Ran {
        let reward = self.path(reward);
        self.train(what, out, keys, &[&["--reward-model", &reward], options].concat())
    }

    /// Mean Dice over the volumes of `method` at `budget`, as the evaluation in the folder `out` says.
    ///
    /// # Panics
    /// If it does not say.
    pub fn mean_dice(&self, out: &str, method: &str, budget: usize) -> f64 {
        let bytes = fs::read(self.path(out) + "/results.json").unwrap();
        let results: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let of = |entry: &&serde_json::Value| entry["method"] == method && entry["budget"] == budget;
        let entry = results["entries"].as_array().unwrap().iter().find(of).expect("an entry");
        entry["mean_dice"]["mean"].as_f64().unwrap()
    }

    /// Trains `what`, as `kscout train` calls it, into the folder `out`, with `keys` of its configuration set.
    pub fn train(&self, what: &str, out: &str, keys: &[&str], options: &[&str]) -> Ran {
        let [data, out] = ["data", out].map(|name| self.path(name));
        let keys = keys.iter().flat_map(|key| ["--set", key]);
        let train = ["train", what, "--data", &data, "--out", &out].into_iter();
        let arguments: Vec<&str> = train.chain(keys).chain(options.iter().copied()).collect();
        self.run(&arguments)
    }
}
