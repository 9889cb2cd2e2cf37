//! The training of a slice policy: warm start, then PPO over volumes.

use burn::module::Module;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Device;
use kscout_core::model::Model;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::allocate::{Allocate, Oracle, Uniform};
use super::config::VolumeConfig;
use super::heart::{Heart, Variation, follow};
use super::learner::{Learned, VolumeActorCritic, VolumeSight};
use super::position::ByPosition;
use super::sharing::Sharing;
use super::warm;
use crate::data::{Dataset, Split};
use crate::eval::run::measure;
use crate::mri::Protocol;
use crate::rl::ppo::{self, Lesson, Step};
use crate::train::schedule::cosine;

/// Mean Dice of `hearts` under `method` at `mean` lines.
pub fn dice(hearts: &[Heart], method: &dyn Allocate, mean: usize, first: usize) -> f64 {
    let lines = method.share(hearts, mean, first);
    let sum: f64 = hearts.iter().zip(lines).map(|(heart, lines)| heart.tally(&lines).mean_dice()).sum();
    sum / hearts.len() as f64
}

fn optimizer(config: &VolumeConfig) -> ModuleOptimizer {
    let clipping = burn::grad_clipping::GradientClippingConfig::Norm(config.max_gradient as f32);
    let adamw = AdamWConfig::new().with_weight_decay(config.weight_decay as f32).with_epsilon(1e-5);
    adamw.with_grad_clipping(Some(clipping)).init()
}

/// Prototype.
pub fn prototype(model: &Model<'_>, data: &Dataset, configs: &[VolumeConfig], order: &[u16]) {
    let config = &configs[0];
    let protocol: Protocol = config.protocol.parse().unwrap();
    let start = std::time::Instant::now();
    let val = follow(model, &measure(data, Split::Val, &protocol, 1), order).unwrap();
    let volumes = data.volumes(Split::Train);
    let variation = Variation { model, protocol: &protocol, augment: &config.augment, order };
    let mut hearts = Vec::new();
    for copy in 0..config.copies {
        for (v, volume) in volumes.iter().enumerate() {
            let seed = crate::mri::random::mix(config.seed ^ ((copy * 1000 + v) as u64) << 20);
            hearts.push(variation.follow(volume, seed).unwrap());
        }
    }
    eprintln!("followed {} volumes in {:?}", hearts.len(), start.elapsed());
    for &mean in &config.validate_lines {
        let position = ByPosition::learn(&hearts, mean, config.first);
        eprintln!(
            "mean {mean}: val uniform {:.4} position {:.4} oracle {:.4}; train uniform {:.4} position {:.4} {:?}",
            dice(&val, &Uniform, mean, config.first),
            dice(&val, &position, mean, config.first),
            dice(&val, &Oracle { ahead: 8 }, mean, config.first),
            dice(&hearts, &Uniform, mean, config.first),
            dice(&hearts, &position, mean, config.first),
            position.shares.map(|s| (s * 100.0).round() / 100.0),
        );
    }
    for config in configs {
        learn(&val, &hearts, config);
    }
}

fn learn(val: &[Heart], hearts: &[Heart], config: &VolumeConfig) {
    let device = Device::flex().autodiff();
    device.seed(config.seed);
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let mut agent = VolumeActorCritic::new(&device);
    let mut warm_optimizer = optimizer(config);
    let begun = std::time::Instant::now();
    let loss;
    (agent, loss) = warm::start(agent, &mut warm_optimizer, hearts, config, &device, &mut rng);
    eprintln!("warm: loss {loss:.4} in {:?}", begun.elapsed());
    let some: Vec<Heart> = hearts.iter().step_by(7).cloned().collect();
    report(&agent, val, &some, config);
    let mut optimizer = optimizer(config);
    for update in 0..config.updates {
        let episodes = play(&agent.valid(), hearts, config, &mut rng);
        let worth: f64 =
            episodes.iter().flatten().map(|s: &Step<VolumeSight>| s.reward).sum::<f64>() / episodes.len() as f64;
        let rate = cosine(update, config.updates, 0, config.learning_rate);
        let lesson = Lesson { episodes: &episodes, rate, settings: config.settings(), device: &device };
        let judge = |agent: &VolumeActorCritic, sights: &[&VolumeSight]| agent.judge(sights, config.sharpness, &device);
        let (learned, report_) = ppo::update(agent, judge, &mut optimizer, &lesson, &mut rng);
        agent = learned;
        if (update + 1) % config.validate_every == 0 {
            eprintln!(
                "update {}: worth {worth:.3} entropy {:.3} kl {:.4} value {:.4} {:?}",
                update + 1,
                report_.entropy,
                report_.kl,
                report_.value_loss,
                begun.elapsed()
            );
            report(&agent, val, &some, config);
        }
    }
}

fn report(agent: &VolumeActorCritic, val: &[Heart], train: &[Heart], config: &VolumeConfig) {
    let device = Device::flex();
    let player = agent.valid();
    let learned = Learned { policy: &player.policy, device: &device };
    let text: Vec<String> = config
        .validate_lines
        .iter()
        .map(|&mean| {
            format!(
                "{mean}: {:.4} ({:.4})",
                dice(val, &learned, mean, config.first),
                dice(train, &learned, mean, config.first)
            )
        })
        .collect();
    eprintln!("  policy val (train) {}", text.join("  "));
}

/// Scans volumes by the policy's probabilities.
fn play(
    player: &VolumeActorCritic,
    hearts: &[Heart],
    config: &VolumeConfig,
    rng: &mut impl Rng,
) -> Vec<Vec<Step<VolumeSight>>> {
    let device = Device::flex();
    let mut scans: Vec<Sharing<'_>> = (0..config.episodes).map(|_| Sharing::any(hearts, config, rng)).collect();
    let mut episodes: Vec<Vec<Step<VolumeSight>>> = scans.iter().map(|_| Vec::new()).collect();
    loop {
        let active: Vec<usize> = (0..scans.len()).filter(|&i| scans[i].left() > 0).collect();
        if active.is_empty() {
            return episodes;
        }
        let sights: Vec<VolumeSight> = active.iter().map(|&i| VolumeSight::of(&scans[i])).collect();
        let (log_p, values) = player.judge(&sights.iter().collect::<Vec<_>>(), config.sharpness, &device);
        let log_p = log_p.into_data().try_into_vec::<f32>().expect("f32");
        let values = values.into_data().try_into_vec::<f32>().expect("f32");
        let most = log_p.len() / active.len();
        for (n, sight) in sights.into_iter().enumerate() {
            let row = &log_p[n * most..(n + 1) * most];
            let choice = WeightedIndex::new(row.iter().map(|p| p.exp())).expect("numbers").sample(rng);
            let reward = scans[active[n]].give(choice) * config.scale;
            let step = Step { sight, choice, log_probability: row[choice], value: values[n], reward };
            episodes[active[n]].push(step);
        }
    }
}
