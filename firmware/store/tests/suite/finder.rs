//! Rows found one near the other, against rows looked up one by one.

use crate::house::House;
use proptest::prelude::*;
use store::{Finder, Store, Table, Urgency};

const ROWS: Table<u16, u16> = Table::new("test.rows", 1);
const NONE: Table<u16, u16> = Table::new("test.none", 1);

fn filled(store: &Store, rows: &[u16]) {
    let writes = rows.iter().map(|row| ROWS.put(row, &(row / 2))).collect();
    store.queue(writes, Urgency::Now);
    while store.turn() {}
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn finds_what_is_there_in_any_order(
        rows in prop::collection::vec(0_u16..300, 0..120),
        mut keys in prop::collection::vec(0_u16..300, 1..80),
        in_order: bool,
        backwards: bool,
    ) {
        let house = House::new();
        let store = house.open();
        filled(&store, &rows);
        let snapshot = store.snapshot().unwrap();
        if in_order {
            keys.sort_unstable();
        }
        if backwards {
            keys.reverse();
        }
        let mut finder = Finder::new(&ROWS, &snapshot, backwards).unwrap();
        let mut none = Finder::new(&NONE, &snapshot, backwards).unwrap();
        for key in keys {
            prop_assert_eq!(finder.get(&key).unwrap(), ROWS.get(&snapshot, &key).unwrap(), "{}", key);
            prop_assert_eq!(none.get(&key).unwrap(), None);
        }
    }
}
