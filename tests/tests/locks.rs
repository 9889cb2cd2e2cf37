//! Two commands and one `--out`: one wins, the other is refused with the first one's process id, and nothing is mixed.

use std::fs;
use std::path::{Path, PathBuf};

use kscout_tests::job::Job;
use kscout_tests::moment::Held;
use kscout_tests::run;
use kscout_tests::tree::{hidden, tree};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");
const SIZE: usize = 32;

/// A data set, a barely trained segmenter, what is made of it, and two NIfTI files.
fn job() -> Job {
    let job = Job::new(EXE, 5, 4, SIZE);
    let of = |command: &str| run(EXE, job.words(command)).succeeded();
    job.train_segmenter("reward", &["steps=2", "batch=2", "warmup=1", "validate_every=2", "validate_lines=[8]"], &[])
        .succeeded();
    of("data labels NAME/data --out NAME/labels.csv");
    of("export --segmenter NAME/reward --data NAME/data --calibration 4 --out NAME/heart.kscout");
    of(
        "eval --model NAME/heart.kscout --data NAME/data --budgets 4 --baselines centre-out,random --panels 0 --out NAME/scores",
    );
    of("predict --blob NAME/heart.kscout --out NAME/seen NAME/data/patient001/images/3.png");
    job
}

const POLICY: &str = "--reward-model NAME/reward --data NAME/data --set updates=1 --set episodes=2 --set validate_lines=[3] \
     --set max_budget=4 --set min_budget=3 --set epochs=1";
const REWARD: &str = "--data NAME/data --set steps=1 --set batch=2 --set validate_lines=[8]";

#[test]
fn of_two_commands_on_one_place_one_wins_and_the_other_is_refused() {
    let job = job();
    let reward = format!("train segmenter {REWARD} --out NAME/OUT");
    let policy = format!("train line-policy {POLICY} --out NAME/OUT");
    let classifier = format!("train classifier {REWARD} --labels NAME/labels.csv --out NAME/OUT");
    let mask =
        "train mask --segmenter NAME/reward --data NAME/data --volumes 1 --candidates 4 --budget 2 --out NAME/OUT";
    let eval =
        "eval --model NAME/heart.kscout --data NAME/data --budgets 4 --baselines centre-out --panels 0 --out NAME/OUT";
    let export = "export --segmenter NAME/reward --data NAME/data --calibration 4 --out NAME/OUT";
    let phantom = "data phantom NAME/OUT --patients 2 --size 32";
    let predict = "predict --blob NAME/heart.kscout --out NAME/OUT NAME/data/patient001/images/3.png";
    let masks = "masks --model NAME/heart.kscout --data NAME/data --by-baseline --baselines centre-out --budgets 4 --out NAME/OUT";
    let compare = "compare NAME/scores:random --with NAME/scores:centre-out --out NAME/OUT";
    let scan = "scan NAME/heart.kscout --data NAME/data --slice patient001/3 --budget 4 --capture NAME/OUT";
    let onnx = "export --from NAME/heart.kscout --onnx NAME/OUT";
    let forward = "net forward --model NAME/reward --input NAME/none.npy --output NAME/OUT";
    let labels = "data labels NAME/data --out NAME/OUT";
    let sampler = "sampler --data NAME/data --out NAME/OUT";
    let import = "import --arch unet --weights NAME/none.pth --out NAME/OUT";
    let png = "data import --format png NAME/data NAME/OUT --size 32";
    let metrics = "metrics NAME/data NAME/data --out NAME/OUT";
    let reproduce = "reproduce --protocol scanner --quick --data NAME/data --out NAME/OUT";
    let pairs: [[&str; 2]; 16] = [
        [&reward, &reward],
        [&classifier, &policy],
        [&policy, reproduce],
        [mask, mask],
        [eval, &reward],
        [export, onnx],
        [phantom, png],
        [png, phantom],
        [predict, eval],
        [masks, forward],
        [compare, metrics],
        [scan, export],
        [onnx, scan],
        [labels, sampler],
        [sampler, masks],
        [&format!("{reward} --resume"), import],
    ];
    for (number, pair) in pairs.into_iter().enumerate() {
        let out = format!("out{number}");
        let [first, second] = pair.map(|command| job.words(&command.replace("OUT", &out)));
        let place = PathBuf::from(job.path(&out));
        let holder = Held::start(EXE, &first);
        let before = tree(&place);
        run(EXE, &second).refused(&[&out, &format!("process {} is writing there", holder.id())]);
        assert_eq!(tree(&place), before, "{second:?} has written something");
        holder.go_on().succeeded();
        assert!(!tree(&place).is_empty(), "{first:?} has written nothing");
        let alone = format!("alone{number}");
        run(EXE, job.words(&pair[0].replace("OUT", &alone))).succeeded();
        let names = |name: &str| tree(Path::new(&job.path(name))).into_keys().collect::<Vec<_>>();
        assert_eq!(names(&out), names(&alone), "{first:?}: nothing of the other is there");
    }
    let hidden = hidden(Path::new(&job.path("")));
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[test]
fn the_lock_of_a_process_that_was_killed_is_none() {
    let job = job();
    let train = job.words(&format!("train segmenter {REWARD} --out NAME/deep/run"));
    Held::start(EXE, &train).kill();
    assert!(fs::exists(job.path("deep/.run.lock")).unwrap(), "it has left a file");
    run(EXE, &train).succeeded();
    assert!(!fs::exists(job.path("deep/.run.lock")).unwrap(), "which is gone with the next");
}

#[test]
fn a_command_that_is_refused_leaves_nothing_of_its_lock() {
    let job = job();
    let train = job.words(&format!("train segmenter {REWARD} --set steps=0 --out NAME/deep/run"));
    run(EXE, &train).refused(&["steps"]);
    assert!(!fs::exists(job.path("deep")).unwrap());
    let twice =
        "scan NAME/heart.kscout --data NAME/data --slice patient001/3 --budget 4 --out NAME/a --capture NAME/data/../a";
    run(EXE, job.words(twice)).refused(&["named twice"]);
    assert!(!fs::exists(job.path("a")).unwrap());
}
