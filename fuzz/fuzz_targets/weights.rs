#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    kscout::fuzz::reader("weights").expect("a reader of this name")(data);
});
