//! The audit log as a report: JSON, CSV or a page of HTML. What came from
//! others is escaped: no script in the page, no formula in the table.
//!
//! The last line carries the signature. What is signed is the hash of all lines
//! before it, each a field of the transcript `audit-export`, so that a report of
//! any size is written and checked as a stream.

use secure_chat_protocol::crypto::ed25519::{Purpose, Signature};
use secure_chat_protocol::crypto::kdf::Transcript;
use secure_chat_protocol::id::{AccountId, Timestamp};
use secure_chat_protocol::identity::IdentityIn;
use secure_chat_protocol::limits::RECORD_MAX_BYTES;
use secure_chat_protocol::wire::codec;

use super::log::Pruned;
use crate::api::{At, AuditEntryView, ExportFormat};

/// What stands at the head of a report.
pub struct Facts {
    /// Whose log it is.
    pub username: String,
    /// The account.
    pub account_id: String,
    /// The identity's public keys as they travel, in hexadecimal.
    pub identity: String,
    /// When it was written.
    pub exported_at: Timestamp,
    /// What the log no longer held.
    pub pruned: Pruned,
    /// The log was not found changed.
    pub chain_ok: bool,
}

/// Writes a report, line by line.
pub struct Report {
    format: ExportFormat,
    transcript: Transcript,
    first: bool,
}

/// Nothing that a display or a program would take for more than a letter.
fn plain(text: &str) -> String {
    let harmless = |letter: char| {
        let hidden =
            matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if letter.is_control() || hidden { '\u{fffd}' } else { letter }
    };
    text.chars().map(harmless).collect()
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in plain(text).chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// One field of a table: quoted, and never the beginning of a formula.
fn csv(text: &str) -> String {
    let text = plain(text).replace('"', "\"\"");
    let formula = text.trim_start().starts_with(['=', '+', '-', '@', '\u{fffd}', '|', '%']);
    format!("\"{}{text}\"", if formula { "'" } else { "" })
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

const HTML_HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
<title>Secure Chat audit log</title><style>body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}\
td,th{border:1px solid #ccc;padding:4px 8px;text-align:left;vertical-align:top}.warning{background:#fff3cd}\
.critical{background:#f8d7da}code{word-break:break-all}</style></head><body>\n";

impl Report {
    /// An empty one.
    #[must_use]
    pub fn new(format: ExportFormat) -> Self {
        Self { format, transcript: Transcript::new("audit-export"), first: true }
    }

    fn signed(&mut self, text: String) -> String {
        for line in text.split_inclusive('\n') {
            self.transcript.field(line.as_bytes());
        }
        text
    }

    /// Its first lines.
    pub fn begin(&mut self, facts: &Facts) -> String {
        let Facts { username, account_id, identity, .. } = facts;
        let at = At(facts.exported_at).to_rfc3339();
        let (pruned, until) = (facts.pruned.entries, At(facts.pruned.until).to_rfc3339());
        let text = match self.format {
            ExportFormat::Json => {
                let head = serde_json::json!({
                    "format": "secure-chat-audit/1", "username": username, "account_id": account_id,
                    "identity": identity, "exported_at": at, "chain_ok": facts.chain_ok,
                    "pruned": {"entries": pruned, "until": until, "kinds": facts.pruned.kinds},
                });
                let head = head.to_string();
                format!("{},\"entries\":[\n", head.strip_suffix('}').unwrap_or(&head))
            }
            ExportFormat::Csv => format!(
                "{},{},{},{},{},{}\nseq,at,severity,kind,subject,detail\n",
                csv("secure-chat-audit/1"),
                csv(username),
                csv(account_id),
                csv(identity),
                csv(&at),
                csv(&format!("pruned: {pruned}")),
            ),
            ExportFormat::Html => format!(
                "{HTML_HEAD}<h1>Audit log of {}</h1>\n<p>Account <code>{}</code><br>identity <code>{}</code><br>\
                 written at {}<br>chain: {}<br>entries that are no longer there: {pruned}</p>\n\
                 <table><tr><th>no.</th><th>time</th><th>severity</th><th>kind</th><th>about</th><th>what</th></tr>\n",
                html(username),
                html(account_id),
                html(identity),
                html(&at),
                if facts.chain_ok { "unbroken" } else { "BROKEN: the log was changed outside of the program" },
            ),
        };
        self.signed(text)
    }

    /// One entry.
    pub fn entry(&mut self, entry: &AuditEntryView) -> String {
        let first = std::mem::replace(&mut self.first, false);
        let (at, subject) = (entry.at.to_rfc3339(), entry.subject.as_deref().unwrap_or_default());
        let text = match self.format {
            ExportFormat::Json => format!("{}{}\n", if first { "" } else { "," }, json(entry)),
            ExportFormat::Csv => format!(
                "{},{},{},{},{},{}\n",
                entry.seq,
                csv(&at),
                csv(&entry.severity),
                csv(&entry.kind),
                csv(subject),
                csv(&entry.detail)
            ),
            ExportFormat::Html => format!(
                "<tr class=\"{}\"><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td><td>{}</td></tr>\n",
                html(&entry.severity),
                entry.seq,
                html(&at),
                html(&entry.severity),
                html(&entry.kind),
                html(subject),
                html(&entry.detail)
            ),
        };
        self.signed(text)
    }

    /// Its last lines but one.
    pub fn end(&mut self, entries: u64) -> String {
        let text = match self.format {
            ExportFormat::Json => format!("],\"count\":{entries},\n"),
            ExportFormat::Csv => format!("\"count\",{entries},\"\",\"\",\"\",\"\"\n"),
            ExportFormat::Html => format!("</table><p>{entries} entries.</p></body></html>\n"),
        };
        self.signed(text)
    }

    /// What is signed.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.transcript.clone().finish()
    }

    /// The last line.
    #[must_use]
    pub fn signature(&self, signature: &[u8; 64]) -> String {
        let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        match self.format {
            ExportFormat::Json => format!("\"signature\":\"{hex}\"}}\n"),
            ExportFormat::Csv => format!("\"signature\",\"{hex}\",\"\",\"\",\"\",\"\"\n"),
            ExportFormat::Html => format!("<!-- signature {hex} -->\n"),
        }
    }
}

/// Why a report was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// It is no report, or was cut.
    #[error("this is no complete audit report")]
    Malformed,
    /// It was changed, or signed by another identity.
    #[error("the signature of the report is wrong")]
    BadSignature,
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    (digits.len().is_multiple_of(2)).then(|| digits.chunks(2).map(pair).collect::<Option<_>>())?
}

/// Checks a report, of any format: whose it is.
///
/// # Errors
/// [`ReportError`]
pub fn verify(report: &str) -> Result<AccountId, ReportError> {
    let end = report.trim_end_matches('\n').rfind('\n').ok_or(ReportError::Malformed)?;
    let (signed, last) = report.split_at_checked(end.saturating_add(1)).ok_or(ReportError::Malformed)?;
    let longest = |text: &str, digits: usize| {
        let mut runs = text.split(|letter: char| !letter.is_ascii_hexdigit());
        runs.find(|run| run.len() == digits).and_then(unhex)
    };
    let signature = longest(last, 128).and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
    let signature = Signature::from_bytes(signature.ok_or(ReportError::Malformed)?);
    // The identity is the first long run of digits: its length is that of its encoding.
    let runs = signed.split(|letter: char| !letter.is_ascii_hexdigit()).filter(|run| run.len() > 128).take(4);
    let identity = runs.filter_map(unhex).find_map(|bytes| codec::decode::<IdentityIn>(&bytes, RECORD_MAX_BYTES).ok());
    let identity = identity.and_then(|identity| identity.verify().ok()).ok_or(ReportError::Malformed)?;
    let mut transcript = Transcript::new("audit-export");
    for line in signed.split_inclusive('\n') {
        transcript.field(line.as_bytes());
    }
    let account = identity.account_id();
    identity
        .verify(Purpose::AuditExport, &[account.as_ref(), &transcript.finish()], &signature)
        .map_err(|_| ReportError::BadSignature)?;
    Ok(account)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secure_chat_protocol::identity::IdentityKeyPair;

    const EVIL: &str = "=HYPERLINK(\"http://x\")</td><script>alert(1)</script>\r\n\u{202e}";

    fn report(format: ExportFormat) -> (String, AccountId) {
        let identity = IdentityKeyPair::generate(&mut rand::rng(), Timestamp(1));
        let wire = codec::encode(&identity.public().to_wire(), RECORD_MAX_BYTES).unwrap();
        let account = identity.account_id();
        let mut report = Report::new(format);
        let facts = Facts {
            username: EVIL.into(),
            account_id: account.to_string(),
            identity: wire.iter().map(|byte| format!("{byte:02x}")).collect(),
            exported_at: Timestamp(1),
            pruned: Pruned::default(),
            chain_ok: true,
        };
        let mut text = report.begin(&facts);
        for seq in 1..=2 {
            text += &report.entry(&AuditEntryView {
                seq,
                at: At(Timestamp(5)),
                kind: EVIL.into(),
                severity: EVIL.into(),
                subject: Some(EVIL.into()),
                detail: EVIL.into(),
            });
        }
        text += &report.end(2);
        let signature = identity.sign(Purpose::AuditExport, &[account.as_ref(), &report.hash()]);
        text += &report.signature(signature.as_bytes());
        (text, account)
    }

    #[test]
    fn every_format_can_be_checked_and_no_change_goes_unnoticed() {
        for format in [ExportFormat::Json, ExportFormat::Csv, ExportFormat::Html] {
            let (text, account) = report(format);
            assert_eq!(verify(&text), Ok(account), "{format:?}");
            assert!(verify(&text.replacen("1970", "1971", 1)).is_err());
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            lines.remove(lines.len() - 3);
            assert!(verify(&lines.concat()).is_err(), "{format:?}: an entry was taken out");
        }
    }

    #[test]
    fn no_file_makes_the_check_panic_and_none_passes_for_another_s() {
        let (mut seeds, mut accounts) = (Vec::new(), Vec::new());
        for format in [ExportFormat::Json, ExportFormat::Csv, ExportFormat::Html] {
            let (text, account) = report(format);
            seeds.push(text.into_bytes());
            accounts.push(account);
        }
        crate::fuzz::survives(&seeds, |input| match verify(&String::from_utf8_lossy(input)) {
            Ok(account) => {
                assert!(accounts.contains(&account), "a report of {account}, who wrote none");
                "fine".to_owned()
            }
            Err(error) => error.to_string(),
        });
    }

    #[test]
    fn what_others_wrote_is_no_script_and_no_formula() {
        let (page, _) = report(ExportFormat::Html);
        assert!(!page.contains("<script") && !page.contains('\u{202e}'));
        let (table, _) = report(ExportFormat::Csv);
        for line in table.lines().skip(2).take(2) {
            assert!(line.split("\",\"").all(|field| !field.trim_start_matches('"').starts_with('=')), "{line}");
        }
        let (document, _) = report(ExportFormat::Json);
        let parsed: serde_json::Value = serde_json::from_str(&document).unwrap();
        assert_eq!(parsed["entries"][1]["detail"], EVIL);
    }
}
