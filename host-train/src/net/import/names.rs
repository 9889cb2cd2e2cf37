//! From the names in a file to the network's own.
//!
//! A network is found by the name of its first layer: what stands before it, in a name that ends so, is what scripts and wrappers
//! put there (`state_dict.net.`, `model_ema.module.`), and every entry behind the same prefix is the network's. What PyTorch's
//! wrappers put into the middle of names is passed over wherever it stands. Where no network here is found, the usual wrappings
//! are taken off all the same, so that errors show names as their author knows them.

use std::collections::BTreeSet;

use crate::net::Arch;

/// The first layer of ASMR's policy.
pub(super) const ASMR: &str = "pi.logits_net.layernorm.weight";
/// A layer that only ASMR's classifier has.
pub(super) const CLASSIFIER: &str = "label_layers.0.weight";

/// First layers of every network here.
fn known() -> Vec<&'static str> {
    let segmenters = Arch::ALL.into_iter().map(|arch| arch.description().weights.first_layer);
    segmenters.chain([ASMR, CLASSIFIER]).collect()
}

/// What `torch.compile`, activation checkpointing, FSDP and Lightning Fabric put into names; no network has such layers.
const TRANSPARENT: [&str; 5] =
    ["_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module", "_fpw_module", "_forward_module"];

/// What `DataParallel` and weight averaging put before names. No network here has such a layer, others may.
const PARALLEL: &str = "module";

/// Keys under which training scripts put a state dict; no network calls a layer so.
const WRAPPERS: [&str; 2] = ["state_dict", "model_state_dict"];

/// Keys that wrap a state dict, or are layers of a network: wrappers only if nothing but bookkeeping lies beside them.
const LIKELY_WRAPPERS: [&str; 2] = ["model", "net"];

/// How the keys begin that training scripts put beside the weights.
const BOOKKEEPING: [&str; 13] = [
    "optim",
    "sched",
    "lr_",
    "ema",
    "scaler",
    "amp",
    "epoch",
    "iter",
    "loss",
    "rng",
    "callbacks",
    "loops",
    "mask_values",
];

/// What a loss or a metric is called that a module keeps beside the network's layers.
const LOSSES: [&str; 4] = ["loss", "criterion", "metric", "mask_values"];

/// The same in short.
const SHORT_LOSSES: [&str; 6] = ["crit", "ce", "bce", "dice", "focal", "tversky"];

/// What a loss alone keeps.
const LOSS_WEIGHTS: [&str; 3] = ["pos_weight", "class_weight", "class_weights"];

/// Where Lightning puts what a module was made of, its network among it.
const PARAMETERS: &str = "hyper_parameters";

/// The most wrappings that are taken off where no network is known; scripts put three or four around one.
const MOST_WRAPPINGS: usize = 16;

/// The most networks of which it is looked up whether they have running averages.
const MOST_NETWORKS: usize = 64;

/// Which network of a file is meant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    pub(super) first_layer: Option<&'static str>,
    pub(super) key: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// Of several networks the one behind this key: `model_ema`, `state_dict.net`, or `.` for names with nothing before them.
    pub fn under(self, key: Option<&'a str>) -> Self {
        Self { key, ..self }
    }
}

/// A name in a file, and the network's own name for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// As the file has it.
    pub full: String,
    /// Without wrapper and prefix.
    pub own: String,
}

/// The names of a file, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Those of the network.
    pub names: Vec<Name>,
    /// Those of everything else, as the file has them.
    pub beside: Vec<String>,
}

/// Why it cannot be said which names are the network's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unclear {
    /// Several networks.
    Several {
        /// Their keys.
        keys: Vec<String>,
        /// Those of them that have parameters alone, where another has running averages too.
        lacking: Vec<String>,
    },
    /// None behind the key asked for; these are there.
    NoSuchKey(Vec<String>),
}

/// Sorts the names `full` of a file.
///
/// # Errors
/// [`Unclear`] where several networks of the kind asked for are there, or none behind the key.
pub(super) fn find(full: Vec<String>, wanted: Wanted<'_>) -> Result<Found, Unclear> {
    let parts: Vec<Vec<&str>> = full.iter().map(|name| clean(name)).collect();
    let asked = wanted.first_layer.map_or(BTreeSet::new(), |layer| prefixes(&parts, &[layer]));
    let is_other = asked.is_empty() && wanted.first_layer.is_some();
    let is_one_kind = !asked.is_empty();
    let networks = if asked.is_empty() { prefixes(&parts, &known()) } else { asked };
    let keys = |prefixes: &mut dyn Iterator<Item = &&[&str]>| prefixes.map(|prefix| key_of(prefix)).collect();
    let chosen = match wanted.key {
        Some(key) => answering(&networks, key),
        None => without_parameters_of_scripts(&networks),
    };
    match (chosen.as_slice(), wanted.key) {
        ([], Some(_)) if !networks.is_empty() => Err(Unclear::NoSuchKey(keys(&mut networks.iter()))),
        ([], key) => without_network(&full, &parts, key),
        // None is of the kind asked for: whichever is taken, the error says what it is.
        ([one, rest @ ..], _) if rest.is_empty() || is_other => Ok(behind(&full, &parts, one, &networks)),
        (several, _) => {
            let few = is_one_kind && several.len() <= MOST_NETWORKS;
            let lacking = if few { without_averages(&parts, several) } else { Vec::new() };
            Err(Unclear::Several { keys: keys(&mut several.iter()), lacking: keys(&mut lacking.iter()) })
        }
    }
}

/// `networks` without those that were handed to a script as they began, unless there are no others.
fn without_parameters_of_scripts<'p, 'n>(networks: &BTreeSet<&'p [&'n str]>) -> Vec<&'p [&'n str]> {
    let is_learned = |network: &&[&str]| network.first() != Some(&PARAMETERS);
    let (learned, begun): (Vec<_>, Vec<_>) = networks.iter().copied().partition(is_learned);
    if learned.is_empty() { begun } else { learned }
}

/// Those of `networks`, all of one kind, that have no running averages while others do: averages of the parameters alone.
fn without_averages<'n>(parts: &[Vec<&str>], networks: &[&'n [&'n str]]) -> Vec<&'n [&'n str]> {
    let is_average = |name: &Vec<&str>| name.last() == Some(&"running_mean");
    let has = |network: &&[&str]| parts.iter().any(|name| is_average(name) && name.starts_with(network));
    let (with, without): (Vec<_>, Vec<_>) = networks.iter().copied().partition(has);
    if with.is_empty() { Vec::new() } else { without }
}

/// The parts of a name, without what is passed over.
fn clean(name: &str) -> Vec<&str> {
    name.split('.').filter(|part| !TRANSPARENT.contains(part)).collect()
}

/// What stands before a first layer, for every name that ends in one of `layers`.
fn prefixes<'p, 'n>(parts: &'p [Vec<&'n str>], layers: &[&str]) -> BTreeSet<&'p [&'n str]> {
    let ahead = |parts: &'p Vec<&'n str>| {
        let length = layers.iter().find_map(|layer| ahead_of(parts, layer))?;
        parts.get(..length)
    };
    parts.iter().filter_map(ahead).collect()
}

/// How many of `parts` stand before the layer `layer`, if they end in it; single blocks may be wrapped for several devices.
fn ahead_of(parts: &[&str], layer: &str) -> Option<usize> {
    let mut rest = parts;
    for (place, expected) in layer.rsplit('.').enumerate() {
        loop {
            let (part, before) = rest.split_last()?;
            rest = before;
            if *part == expected {
                break;
            }
            if *part != PARALLEL || place == 0 {
                return None;
            }
        }
    }
    Some(rest.len())
}

/// How errors and `--key` call what is behind `prefix`.
fn key_of(prefix: &[&str]) -> String {
    if prefix.is_empty() { ".".into() } else { prefix.join(".") }
}

/// Whether a key means a prefix.
type Way = fn(prefix: &[&str], key: &[&str]) -> bool;

/// Those of `networks` that `key` means: the whole prefix, else its beginning, else its end, else a part of it.
fn answering<'p, 'n>(networks: &BTreeSet<&'p [&'n str]>, key: &str) -> Vec<&'p [&'n str]> {
    let key: Vec<&str> = clean(key).into_iter().filter(|part| !part.is_empty()).collect();
    let ways: [Way; 4] = [
        |prefix, key| prefix == key,
        |prefix, key| !key.is_empty() && prefix.starts_with(key),
        |prefix, key| !key.is_empty() && prefix.ends_with(key),
        |prefix, key| !key.is_empty() && prefix.windows(key.len()).any(|window| window == key),
    ];
    let by = |way: &Way| -> Vec<_> { networks.iter().copied().filter(|prefix| way(prefix, &key)).collect() };
    ways.iter().map(by).find(|found| !found.is_empty()).unwrap_or_default()
}

/// Everything behind `prefix` but what is behind another network's longer one, and what belongs to a loss.
fn behind(full: &[String], parts: &[Vec<&str>], prefix: &[&str], networks: &BTreeSet<&[&str]>) -> Found {
    let inner: Vec<&[&str]> =
        networks.iter().copied().filter(|n| n.len() > prefix.len() && n.starts_with(prefix)).collect();
    let mut found = Found::default();
    for (full, parts) in full.iter().zip(parts) {
        let own = parts.strip_prefix(prefix).filter(|_| !inner.iter().any(|inner| parts.starts_with(inner)));
        let own = own.map(|own| own.iter().copied().filter(|&part| part != PARALLEL).collect::<Vec<_>>().join("."));
        match own {
            Some(own) if !is_of_a_loss(&own) => found.names.push(Name { full: full.clone(), own }),
            _ => found.beside.push(full.clone()),
        }
    }
    found
}

/// Whether a loss or a metric keeps this, and no layer: `criterion.pos_weight`.
fn is_of_a_loss(own: &str) -> bool {
    let first = first(own).to_lowercase();
    let (depth, last) = (own.split('.').count(), own.rsplit('.').next().unwrap_or(own));
    LOSSES.iter().any(|word| first.contains(word))
        || SHORT_LOSSES.contains(&first.as_str())
        || (depth <= 2 && LOSS_WEIGHTS.contains(&last))
}

/// The names of a file without any network known here, as far as the usual wrappings can be taken off.
fn without_network(full: &[String], parts: &[Vec<&str>], key: Option<&str>) -> Result<Found, Unclear> {
    let key: Vec<&str> = key.map(clean).unwrap_or_default().into_iter().filter(|part| !part.is_empty()).collect();
    let inside =
        |parts: &Vec<&str>| parts.strip_prefix(key.as_slice()).map(|own| own.join(".")).filter(|own| !own.is_empty());
    let named =
        full.iter().zip(parts).filter_map(|(full, parts)| Some(Name { full: full.clone(), own: inside(parts)? }));
    let mut names: Vec<Name> = named.collect();
    if names.is_empty() && !key.is_empty() {
        let tops: BTreeSet<&str> = parts.iter().filter(|parts| parts.len() > 1).map(|parts| parts[0]).collect();
        return Err(Unclear::NoSuchKey(tops.into_iter().map(str::to_owned).collect()));
    }
    // Each takes all names anew, and a name may be made of wrappings alone.
    for _ in 0..MOST_WRAPPINGS {
        if !(unwrap_once(&mut names) || strip_once(&mut names)) {
            break;
        }
    }
    names.retain(|name| first(&name.own) != "mask_values");
    Ok(Found { names, beside: Vec::new() })
}

fn first(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn unwrap_once(names: &mut Vec<Name>) -> bool {
    let bookkeeping = |key: &str| BOOKKEEPING.iter().any(|start| key.starts_with(start));
    let wrapper = WRAPPERS.iter().chain(&LIKELY_WRAPPERS).find(|&&wrapper| {
        let inside = |name: &Name| first(&name.own) == wrapper && name.own.len() > wrapper.len();
        let sure = WRAPPERS.contains(&wrapper);
        names.iter().any(inside) && (sure || names.iter().all(|name| inside(name) || bookkeeping(first(&name.own))))
    });
    let Some(wrapper) = wrapper else { return false };
    let prefix = format!("{wrapper}.");
    names.retain_mut(|name| strip(name, &prefix));
    true
}

fn strip_once(names: &mut [Name]) -> bool {
    let prefix = format!("{PARALLEL}.");
    let mut own = names.iter().filter(|name| first(&name.own) != "mask_values").peekable();
    if own.peek().is_none() || !own.all(|name| name.own.starts_with(&prefix)) {
        return false;
    }
    for name in names {
        strip(name, &prefix);
    }
    true
}

/// Takes `prefix` off; says whether it was there.
fn strip(name: &mut Name, prefix: &str) -> bool {
    match name.own.strip_prefix(prefix) {
        Some(own) => {
            name.own = own.to_owned();
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first layer of either U-Net.
    const UNET: &str = "inc.double_conv.0.weight";

    fn found(full: &[&str], wanted: Wanted<'_>) -> Result<Found, Unclear> {
        find(full.iter().map(|name| (*name).to_owned()).collect(), wanted)
    }

    fn own(full: &[&str]) -> Vec<String> {
        found(full, Wanted::default()).unwrap().names.into_iter().map(|name| name.own).collect()
    }

    const UNET_HERE: Wanted<'static> = Wanted { first_layer: Some(UNET), key: None };

    #[test]
    fn plain_names_stay_as_they_are() {
        assert_eq!(own(&["inc.weight", "outc.bias"]), ["inc.weight", "outc.bias"]);
        assert_eq!(own(&[UNET, "outc.bias", "extra.weight"]), [UNET, "outc.bias", "extra.weight"]);
    }

    #[test]
    fn a_prefix_of_every_name_is_taken_off() {
        assert_eq!(own(&["module.inc.weight", "module.outc.bias"]), ["inc.weight", "outc.bias"]);
        assert_eq!(own(&["_orig_mod.module.inc.weight"]), ["inc.weight"]);
    }

    #[test]
    fn a_layer_of_that_name_is_kept() {
        assert_eq!(own(&["module.weight", "head.bias"]), ["module.weight", "head.bias"]);
        assert_eq!(own(&["model.weight", "head.bias"]), ["model.weight", "head.bias"]);
    }

    #[test]
    fn a_wrapped_state_dict_is_taken_out_and_the_rest_left() {
        let full = ["state_dict.module.inc.weight", "optimizer.state.0.exp_avg", "something.else"];
        assert_eq!(own(&full), ["inc.weight"]);
        assert_eq!(own(&["model.inc.weight", "optimizer_state.0.exp_avg"]), ["inc.weight"]);
        assert_eq!(own(&["net.inc.weight"]), ["inc.weight"]);
        assert_eq!(own(&["model_state_dict.inc.weight"]), ["inc.weight"]);
    }

    #[test]
    fn a_name_of_wrappings_alone_is_not_unwrapped_for_ever() {
        let deep = format!("{}a", "model.".repeat(200_000));
        assert_eq!(own(&[&deep]), [&deep[16 * "model.".len()..]]);
    }

    #[test]
    fn mask_values_are_not_weights() {
        assert_eq!(own(&["module.inc.weight", "mask_values.0"]), ["inc.weight"]);
        assert_eq!(own(&["state_dict.inc.weight", "state_dict.mask_values"]), ["inc.weight"]);
        assert_eq!(own(&[UNET, "mask_values.0"]), [UNET]);
    }

    #[test]
    fn a_network_is_found_behind_any_prefix_by_its_first_layer() {
        for prefix in
            ["", "unet.", "a.b.c.", "state_dict.net.", "module.module.", "epoch_3.student.", "model._orig_mod.module."]
        {
            let names = [&format!("{prefix}{UNET}"), &format!("{prefix}extra.weight"), "0.exp_avg", "n_averaged"];
            let names = names.map(|name| name.to_string());
            let all: Vec<&str> = names.iter().map(String::as_str).collect();
            let all = if prefix.is_empty() { &all[..2] } else { &all[..] };
            assert_eq!(own(all), [UNET, "extra.weight"], "{prefix}");
            let beside = found(all, UNET_HERE).unwrap().beside;
            assert_eq!(beside.len(), all.len() - 2, "{prefix}");
        }
    }

    #[test]
    fn wrappers_in_the_middle_of_names_are_passed_over() {
        let full = [
            "net.inc._orig_mod.double_conv.0.weight",
            "net.down1.module.maxpool_conv._checkpoint_wrapped_module.1.weight",
            "net._fsdp_wrapped_module.outc.conv.bias",
        ];
        assert_eq!(own(&full), [UNET, "down1.maxpool_conv.1.weight", "outc.conv.bias"]);
    }

    #[test]
    fn what_a_loss_keeps_is_no_layer_wherever_it_stands() {
        for loss in [
            "criterion.pos_weight",
            "loss_fn.weight",
            "ce_loss.weight",
            "train_metrics.total",
            "pos_weight",
            "my_own.pos_weight",
        ] {
            assert_eq!(own(&[UNET, loss]), [UNET], "{loss}");
            assert_eq!(own(&[&format!("state_dict.{UNET}"), &format!("state_dict.{loss}")]), [UNET], "{loss}");
        }
    }

    #[test]
    fn of_several_networks_the_key_says_which() {
        let (model, ema) = (format!("model.{UNET}"), format!("model_ema.module.{UNET}"));
        let names = [model.as_str(), &ema];
        let keys = vec!["model".into(), "model_ema.module".into()];
        let several = Unclear::Several { keys, lacking: Vec::new() };
        assert_eq!(found(&names, UNET_HERE), Err(several.clone()));
        let taken =
            |key: &'static str| found(&names, UNET_HERE.under(Some(key))).map(|found| found.names[0].full.clone());
        assert_eq!(taken("model"), Ok(model.clone()));
        for key in ["model_ema", "model_ema.module", "module"] {
            assert_eq!(taken(key), Ok(ema.clone()), "{key}");
        }
        for key in ["teacher", "", "."] {
            assert_eq!(taken(key), Err(Unclear::NoSuchKey(vec!["model".into(), "model_ema.module".into()])), "{key}");
        }
        let inner = format!("ema.{UNET}");
        let nested = found(&[UNET, "outc.bias", &inner], UNET_HERE.under(Some("."))).unwrap();
        assert_eq!(nested.names.len(), 2);
        assert_eq!(nested.beside, [inner]);
    }

    #[test]
    fn a_network_without_running_averages_is_marked_where_another_has_them() {
        let [shadow, model] = ["ema.shadow.", "model."].map(|prefix| format!("{prefix}{UNET}"));
        let average = "model.inc.double_conv.1.running_mean";
        let lacking = |names: &[&str]| match found(names, UNET_HERE) {
            Err(Unclear::Several { lacking, .. }) => lacking,
            other => panic!("{other:?}"),
        };
        assert_eq!(lacking(&[&shadow, &model, average]), ["ema.shadow"]);
        assert!(lacking(&[&shadow, &model]).is_empty(), "a network without batch norms has none");
    }

    #[test]
    fn the_kind_asked_for_decides_between_networks_of_two_kinds() {
        let (segmenter, policy) = (format!("reward.{UNET}"), format!("policy.{ASMR}"));
        let names = [segmenter.as_str(), &policy];
        assert_eq!(found(&names, UNET_HERE).unwrap().names[0].own, UNET);
        assert!(matches!(found(&names, Wanted::default()), Err(Unclear::Several { .. })));
        let unext = Wanted { first_layer: Some("encoder1.weight"), key: None };
        assert_eq!(found(&names, unext).unwrap().names.len(), 1, "an error will say what it is");
    }
}
