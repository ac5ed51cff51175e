//! What watches over the account, without I/O: the audit log, the alert rules,
//! alerts as they are shown, signals of spam, and delays after wrong passwords.
//! Floor 3.

pub mod alerts;
pub mod asking;
pub mod attempts;
pub mod log;
pub mod old_records;
pub mod rate;
pub mod repeats;
pub mod report;
pub mod rules;
pub mod spam;
