//! Any bytes behind a stream's header: framing does not depend on the pieces they come in, and our reader,
//! quick-xml and rxml agree about what they are. The judge is that of the crate's own tests.
#![no_main]

#[path = "../../tests/wire/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    oracle::judge(bytes);
});
