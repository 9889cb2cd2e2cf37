//! The weights of a small U-Net, by their PyTorch names.

/// A name, a shape and the values.
pub type Entry = (String, Vec<usize>, Vec<f32>);

/// A U-Net of width 2, for 1 channel and 4 classes, with numbers made from their place.
pub fn unet() -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut add = |name: String, shape: &[usize]| {
        let count: usize = shape.iter().product();
        let own = name.len() + 11;
        let value = |i: usize| ((i * 37 + own) % 101) as f32 / 300.0 + 0.01;
        entries.push((name, shape.to_vec(), (0..count).map(value).collect()));
    };
    let double = |prefix: &str, from: usize, to: usize, add: &mut dyn FnMut(String, &[usize])| {
        for (conv, norm, from) in [(0, 1, from), (3, 4, to)] {
            add(format!("{prefix}.{conv}.weight"), &[to, from, 3, 3]);
            for part in ["weight", "bias", "running_mean", "running_var"] {
                add(format!("{prefix}.{norm}.{part}"), &[to]);
            }
        }
    };
    double("inc.double_conv", 1, 2, &mut add);
    for level in 1..=4 {
        double(&format!("down{level}.maxpool_conv.1.double_conv"), 1 << level, 2 << level, &mut add);
    }
    for level in 1..=4 {
        let wide = 64 >> level;
        add(format!("up{level}.up.weight"), &[wide, wide / 2, 2, 2]);
        add(format!("up{level}.up.bias"), &[wide / 2]);
        double(&format!("up{level}.conv.double_conv"), wide, wide / 2, &mut add);
    }
    add("outc.conv.weight".into(), &[4, 2, 1, 1]);
    add("outc.conv.bias".into(), &[4]);
    entries
}
