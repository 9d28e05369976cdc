//! A short run of what the fuzz targets check at length.

use arbitrary::{Arbitrary, Unstructured};
use proptest::{collection::vec, prelude::*};

use crate::invariants::{
    Case, Piece, Sidecars, check_reader, check_recovery, check_sidecars, text,
};

fn made<T: for<'a> Arbitrary<'a>>(bytes: &[u8]) -> T {
    T::arbitrary(&mut Unstructured::new(bytes)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reader_yields_each_line_once(bytes in vec(any::<u8>(), 0..600)) {
        check_reader(&bytes);
        check_reader(&text(&made::<Vec<Piece>>(&bytes)));
    }

    #[test]
    fn a_log_opens_with_all_its_lines(bytes in vec(any::<u8>(), 0..600)) {
        check_recovery(&made::<Case>(&bytes));
    }

    #[test]
    fn a_store_opens_beside_any_files(bytes in vec(any::<u8>(), 0..400)) {
        check_sidecars(&made::<Sidecars>(&bytes));
    }
}
