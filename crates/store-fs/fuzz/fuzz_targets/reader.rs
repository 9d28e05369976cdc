//! Any bytes as a log, read line by line.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/store/invariants.rs"]
mod invariants;
#[allow(dead_code)]
#[path = "../../tests/store/support.rs"]
mod support;

use invariants::{Piece, check_reader, text};
use libfuzzer_sys::fuzz_target;

#[derive(arbitrary::Arbitrary, Debug)]
enum Input {
    Bytes(Vec<u8>),
    Pieces(Vec<Piece>),
}

fuzz_target!(|input: Input| match input {
    Input::Bytes(bytes) => check_reader(&bytes),
    Input::Pieces(pieces) => check_reader(&text(&pieces)),
});
