#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    kscout::fuzz::reader("config").expect("a reader of this name")(data);
});
