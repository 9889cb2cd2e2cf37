//! From the names in a checkpoint to the network's own: wrapping dictionaries and prefixes taken off.

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

/// Prefixes that PyTorch itself puts before every name: `DataParallel`'s, and `torch.compile`'s.
const PREFIXES: [&str; 2] = ["module.", "_orig_mod."];

/// A name in a file, and the network's own name for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// As the file has it.
    pub full: String,
    /// Without wrapper and prefix.
    pub own: String,
}

/// The network's own names among `full`; entries beside a wrapped state dict, and the class values that milesial's
/// training saves as `mask_values`, are left out.
pub(super) fn unwrap(full: impl IntoIterator<Item = String>) -> Vec<Name> {
    let mut names: Vec<Name> = full.into_iter().map(|full| Name { own: full.clone(), full }).collect();
    while unwrap_once(&mut names) || strip_once(&mut names) {}
    names.retain(|name| first(&name.own) != "mask_values");
    names
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
    let shared = |prefix: &&str| {
        let mut own = names.iter().filter(|name| first(&name.own) != "mask_values").peekable();
        own.peek().is_some() && own.all(|name| name.own.starts_with(*prefix))
    };
    let Some(prefix) = PREFIXES.into_iter().find(shared) else { return false };
    for name in names {
        strip(name, prefix);
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

    fn own(full: &[&str]) -> Vec<String> {
        unwrap(full.iter().map(|name| (*name).to_owned())).into_iter().map(|name| name.own).collect()
    }

    #[test]
    fn plain_names_stay_as_they_are() {
        assert_eq!(own(&["inc.weight", "outc.bias"]), ["inc.weight", "outc.bias"]);
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
    fn mask_values_are_not_weights() {
        assert_eq!(own(&["module.inc.weight", "mask_values.0"]), ["inc.weight"]);
        assert_eq!(own(&["state_dict.inc.weight", "state_dict.mask_values"]), ["inc.weight"]);
    }
}
