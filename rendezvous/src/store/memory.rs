//! Rows in memory, for the tests of the rules.

use std::collections::BTreeMap;

use crate::rows::{Read, StoreError, Table, Visit, Write};

/// All rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryRows {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
}

impl MemoryRows {
    /// How many rows a table has.
    pub fn count(&self, table: Table) -> usize {
        self.rows.keys().filter(|(of, _)| *of == table).count()
    }
}

impl Read for MemoryRows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.rows.get(&(table, key.to_vec())).cloned())
    }

    fn range(&self, table: Table, first: &[u8], last: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        for ((_, key), value) in self.rows.range((table, first.to_vec())..=(table, last.to_vec())) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Write for MemoryRows {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.rows.insert((table, key.to_vec()), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.rows.remove(&(table, key.to_vec())).is_some())
    }
}
