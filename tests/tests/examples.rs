//! The examples of `kscout` do from outside the crate what they say, and leave what they say.

#[path = "../../host-train/examples/own_policy.rs"]
mod own_policy;
#[path = "../../host-train/examples/own_reward.rs"]
mod own_reward;
#[path = "../../host-train/examples/train_segmenter.rs"]
mod train_segmenter;

use tempfile::tempdir;

#[test]
fn a_segmenter_learns_from_a_folder_of_ones_own() {
    let work = tempdir().unwrap();
    let folder = train_segmenter::hearts(work.path()).unwrap();
    let dice = train_segmenter::run(work.path(), "png", &folder).unwrap();
    assert!(dice > 0.05, "sixty steps have begun to tell the heart from the rest: {dice}");
    let error = train_segmenter::run(work.path(), "dicom", &folder).unwrap_err().to_string();
    assert!(error.contains("layout"), "{error}");
}

#[test]
fn a_reward_of_ones_own_pays_and_validates_a_policy() {
    let work = tempdir().unwrap();
    let trained = own_reward::run(work.path()).unwrap();
    assert_eq!((trained.meta.step, trained.meta.network()), (4, "scout"));
    let standing = trained.meta.standing().unwrap();
    assert!(standing.order_score.is_some_and(|psnr| psnr > 5.0), "the fixed order's PSNR in dB: {standing}");
    let log = std::fs::read_to_string(work.path().join("run/log.csv")).unwrap();
    assert!(log.contains(",psnr_4,psnr_6,"), "{log}");
}

#[test]
fn a_policy_of_ones_own_trains_and_is_loaded_again() {
    let work = tempdir().unwrap();
    let first = own_policy::run(work.path()).unwrap();
    assert!(first.abs_diff(16) < 3, "it begins about the centre of 32 lines: {first}");
    let description = std::fs::read_to_string(work.path().join("run/last/checkpoint.json")).unwrap();
    assert!(description.contains("\"blind\""), "{description}");
}
