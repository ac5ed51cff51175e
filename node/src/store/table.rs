//! The tables of the vault, and how each of them is kept in the database.

use redb::TableDefinition;

/// What the vault keeps, apart from the history of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// The account's own keys and records.
    Meta,
    /// Contacts.
    Contacts,
    /// Double Ratchet sessions, under the daily key.
    Sessions,
    /// Private parts of prekeys and kits, under the daily key.
    Prekeys,
    /// Sender keys of groups, under the daily key.
    SenderKeys,
    /// Chat requests.
    Requests,
    /// What waits to be sent: numbered.
    Outbox,
    /// What was seen before, until its day is over.
    Seen,
    /// Messages that arrived before others that they follow.
    Held,
    /// Positions: of an inbox, of a mailbox.
    Cursors,
    /// Drafts and settings.
    Notes,
    /// The audit log: numbered.
    Audit,
    /// Groups.
    Groups,
    /// Shared files.
    Files,
    /// Messages of groups as they travelled, kept for members who lack them.
    GroupLog,
}

/// How the rows of a table are named and sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// By a keyed hash of their id, under the table's key.
    Keyed,
    /// As `Keyed`, under the daily key.
    Ratchet,
    /// As `Keyed`, with a day after which they go.
    Expiring,
    /// By a number in the clear, in order.
    Numbered,
}

/// Rows named by a keyed hash.
pub(super) type KeyedTable = TableDefinition<'static, &'static [u8; 16], &'static [u8]>;
/// Rows named by a number.
pub(super) type NumberedTable = TableDefinition<'static, u64, &'static [u8]>;

impl Table {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Self; 15] = [
        Self::Meta,
        Self::Contacts,
        Self::Sessions,
        Self::Prekeys,
        Self::SenderKeys,
        Self::Requests,
        Self::Outbox,
        Self::Seen,
        Self::Held,
        Self::Cursors,
        Self::Notes,
        Self::Audit,
        Self::Groups,
        Self::Files,
        Self::GroupLog,
    ];

    /// Those under the daily key.
    pub(super) const RATCHETS: [Self; 3] = [Self::Sessions, Self::Prekeys, Self::SenderKeys];

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Sessions | Self::Prekeys | Self::SenderKeys => Kind::Ratchet,
            Self::Seen | Self::GroupLog => Kind::Expiring,
            Self::Outbox | Self::Audit => Kind::Numbered,
            _ => Kind::Keyed,
        }
    }

    /// The name that its key is derived from. It stands nowhere in the database.
    pub(super) const fn key_name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Contacts => "contacts",
            Self::Sessions => "sessions",
            Self::Prekeys => "prekeys",
            Self::SenderKeys => "sender-keys",
            Self::Requests => "requests",
            Self::Outbox => "outbox",
            Self::Seen => "seen",
            Self::Held => "held",
            Self::Cursors => "cursors",
            Self::Notes => "notes",
            Self::Audit => "audit",
            Self::Groups => "groups",
            Self::Files => "files",
            Self::GroupLog => "group-log",
        }
    }

    /// The name in the database, which tells nothing.
    const fn clear_name(self) -> &'static str {
        match self {
            Self::Meta => "a",
            Self::Contacts => "b",
            Self::Sessions => "c",
            Self::Prekeys => "d",
            Self::SenderKeys => "e",
            Self::Requests => "f",
            Self::Outbox => "g",
            Self::Seen => "h",
            Self::Held => "i",
            Self::Cursors => "j",
            Self::Notes => "k",
            Self::Audit => "l",
            Self::Groups => "m",
            Self::Files => "n",
            Self::GroupLog => "o",
        }
    }

    pub(super) const fn keyed(self) -> KeyedTable {
        TableDefinition::new(self.clear_name())
    }

    pub(super) const fn numbered(self) -> NumberedTable {
        TableDefinition::new(self.clear_name())
    }
}

/// The vault's own rows: [`STATE_ROW`] and [`SEGMENTS_ROW`].
pub(super) const STATE: NumberedTable = TableDefinition::new("0");
/// Where [`super::state::State`] stands in [`STATE`].
pub(super) const STATE_ROW: u64 = 0;
/// Where the list of index segments stands in [`STATE`].
pub(super) const SEGMENTS_ROW: u64 = 1;
/// Where a vault that is a copy of another keeps the keys that name its rows, in [`STATE`].
pub(super) const INDEX_KEYS_ROW: u64 = 2;
/// Messages by arrival number.
pub(super) const BODIES: NumberedTable = TableDefinition::new("1");
/// `conversation 16 ‖ hybrid time 8 ‖ arrival 8`, big-endian.
pub(super) const TIMELINE: TableDefinition<'static, &'static [u8; 32], ()> = TableDefinition::new("2");
/// Keyed hash of author and message id → arrival number.
pub(super) const BY_ID: TableDefinition<'static, &'static [u8; 16], u64> = TableDefinition::new("3");
/// Messages in each conversation.
pub(super) const COUNTS: TableDefinition<'static, &'static [u8; 16], u64> = TableDefinition::new("4");
/// Arrival numbers below the indexed part whose text the index does not have.
pub(super) const DIRTY: TableDefinition<'static, u64, ()> = TableDefinition::new("5");
/// Buckets of the search index: `segment 4 ‖ bucket 2` as a number.
pub(super) const INDEX: NumberedTable = TableDefinition::new("6");
/// `table 1 ‖ day 4 ‖ record key 16`, big-endian: what goes on which day.
pub(super) const EXPIRY: TableDefinition<'static, &'static [u8; 21], ()> = TableDefinition::new("7");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_number_and_names_of_its_own() {
        for (number, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(table as usize, number);
        }
        let unique = |name: fn(Table) -> &'static str| {
            Table::ALL.map(name).into_iter().collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!((unique(Table::key_name), unique(Table::clear_name)), (Table::ALL.len(), Table::ALL.len()));
        assert!(Table::ALL.iter().all(|table| Table::RATCHETS.contains(table) == (table.kind() == Kind::Ratchet)));
    }
}
