//! `constellation audit …`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use futures::StreamExt;
use protocol::audit::{AuditHash, Chain, Entry, Head};
use reqwest::Method;

use super::access::AccessArguments;
use crate::client::Client;
use crate::output;
use crate::settings::Settings;
use crate::value_parsers::whole_number;

#[derive(Debug, Args)]
pub struct AuditArguments {
    #[command(flatten)]
    access: AccessArguments,
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// List entries, oldest first
    List {
        /// List entries after this number [default: list the last entries]
        #[arg(long, value_name = "NUMBER", value_parser = whole_number(0..=u64::MAX, "the number of an entry", 120))]
        after: Option<u64>,
        /// Maximum number of entries
        #[arg(long, value_name = "N", default_value_t = 50,
            value_parser = whole_number(1..=1000_u64, "a whole number of entries", 50))]
        limit: u64,
    },
    /// Export the whole log as JSON Lines
    Export {
        /// File to write; `-` writes to standard output
        file: PathBuf,
    },
    /// Verify that no entry was changed, removed or inserted
    Verify {
        /// Exported log to verify [default: the coordinator's log]
        file: Option<PathBuf>,
        /// Hash of an entry that the log must contain
        ///
        /// Pass a hash that you kept elsewhere, to detect a log that was cut off or rewritten.
        #[arg(long, value_name = "HASH")]
        head: Option<AuditHash>,
    },
}

pub(super) async fn run(arguments: AuditArguments, settings: Settings) -> anyhow::Result<()> {
    let json = arguments.access.json;
    match arguments.command {
        AuditCommand::List { after, limit } => {
            let client = arguments.access.client(settings)?;
            let after = match after {
                Some(after) => after,
                None => client.get::<Head>("/audit/head").await?.number.saturating_sub(limit),
            };
            let path = format!("/audit?after={after}&limit={limit}");
            let entries: Vec<Entry> = client.get(&path).await?;
            if json {
                return Ok(output::json(&entries)?);
            }
            let rows: Vec<[String; 7]> = entries.iter().map(row).collect();
            let headings = ["NUMBER", "TIME", "USER", "ROLE", "FROM", "ACTION", "DETAIL"];
            Ok(output::table(headings, &rows)?)
        }
        AuditCommand::Export { file } => {
            let client = arguments.access.client(settings)?;
            let chain = export(&client, &file).await?;
            print_chain(json, &file.display().to_string(), &chain)
        }
        AuditCommand::Verify { file, head } => {
            let (name, chain) = if let Some(file) = file {
                let open = std::fs::File::open(&file);
                let open = open.with_context(|| format!("can't read {}", file.display()))?;
                let mut verifier = Verifier::new(head);
                for line in BufReader::new(open).lines() {
                    let line = line.with_context(|| format!("can't read {}", file.display()))?;
                    verifier.line(line.as_bytes())?;
                }
                (file.display().to_string(), verifier.finish()?)
            } else {
                let client = arguments.access.client(settings)?;
                let mut verifier = Verifier::new(head);
                read_lines(&client, |line| verifier.line(line)).await?;
                (client.address().to_owned(), verifier.finish()?)
            };
            print_chain(json, &name, &chain)
        }
    }
}

/// Downloads the log, verifies it, and delivers it to `file`. An invalid log is not delivered.
async fn export(client: &Client, file: &Path) -> anyhow::Result<Chain> {
    let cannot_write = || format!("can't write {}", file.display());
    let mut part = output::open_file(file).with_context(cannot_write)?;
    let mut verifier = Verifier::new(None);
    read_lines(client, |line| {
        verifier.line(line)?;
        part.write_all(line).with_context(cannot_write)?;
        part.write_all(b"\n").with_context(cannot_write)
    })
    .await?;
    let chain = verifier.finish()?;
    part.commit().with_context(cannot_write)?;
    Ok(chain)
}

/// Passes each line of the coordinator's log to `take`.
async fn read_lines(
    client: &Client,
    mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let response = client.send(client.request(Method::GET, "/audit/export")).await?;
    let mut body = response.bytes_stream();
    let mut rest = Vec::new();
    while let Some(piece) = body.next().await {
        rest.extend_from_slice(&piece.map_err(|error| client.interrupted(error))?);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            take(&rest[..end])?;
            rest.drain(..=end);
        }
    }
    if rest.is_empty() { Ok(()) } else { take(&rest) }
}

/// Verifies a log line by line.
#[derive(Debug)]
struct Verifier {
    chain: Chain,
    /// The expected hash, until an entry with it was read.
    expected: Option<AuditHash>,
}

impl Verifier {
    fn new(head: Option<AuditHash>) -> Self {
        Self { chain: Chain::default(), expected: head }
    }

    fn line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let entry: Entry = serde_json::from_slice(line)
            .with_context(|| format!("can't read the entry after entry {}", self.chain.number))?;
        self.chain.follow(&entry)?;
        self.expected.take_if(|head| self.chain.is_at(*head));
        Ok(())
    }

    fn finish(self) -> anyhow::Result<Chain> {
        if let Some(head) = self.expected {
            bail!(
                "the log has no entry with the hash {head}: it was cut off before that entry, or \
                 rewritten"
            );
        }
        if self.chain.number == 0 {
            bail!("the log has no entry, but a coordinator writes one at its first start");
        }
        Ok(self.chain)
    }
}

fn print_chain(json: bool, name: &str, chain: &Chain) -> anyhow::Result<()> {
    let (number, hash) = (chain.number, chain.head);
    if json {
        return Ok(output::json(&serde_json::json!({ "entries": number, "head": hash }))?);
    }
    output::line(format_args!("{name}: {number} entries, none changed or missing"))?;
    Ok(output::line(format_args!(
        "head {hash} (store it elsewhere, to verify the log later with --head {hash})"
    ))?)
}

fn row(entry: &Entry) -> [String; 7] {
    let record = &entry.record;
    let detail = record.detail.iter().map(|(name, value)| format!("{name}={value}"));
    let subject = &record.subject;
    [
        entry.number.to_string(),
        record.at.to_string(),
        record.who.clone(),
        record.role.map_or("", |role| role.word()).to_owned(),
        record.from.clone().unwrap_or_default(),
        format!("{} {} {}", subject.kind.word(), record.action.word(), subject.id),
        detail.collect::<Vec<_>>().join(" "),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use protocol::Timestamp;
    use protocol::audit::{Action, Record, Subject, SubjectKind};

    use super::*;

    fn lines() -> Vec<String> {
        let mut chain = Chain::default();
        let record = |id: &str| Record {
            at: Timestamp::from_millis(7),
            who: "Ana".to_owned(),
            role: None,
            from: None,
            action: Action::Created,
            subject: Subject { kind: SubjectKind::Job, id: id.to_owned() },
            detail: BTreeMap::new(),
        };
        let entries = ["a", "b", "c"].map(|id| chain.append(record(id)));
        entries.map(|entry| serde_json::to_string(&entry).unwrap()).to_vec()
    }

    fn check(lines: &[String], head: Option<AuditHash>) -> anyhow::Result<Chain> {
        let mut verifier = Verifier::new(head);
        lines.iter().try_for_each(|line| verifier.line(line.as_bytes()))?;
        verifier.finish()
    }

    fn error_text(result: anyhow::Result<Chain>) -> String {
        format!("{:#}", result.unwrap_err())
    }

    #[test]
    fn a_valid_log_passes_and_contains_a_kept_hash() {
        let lines = lines();
        let chain = check(&lines, None).unwrap();
        assert_eq!(chain.number, 3);
        let earlier: Entry = serde_json::from_str(&lines[1]).unwrap();
        check(&lines, Some(earlier.hash)).unwrap();
        check(&lines, Some(chain.head)).unwrap();
        // Cut off before the kept entry.
        assert!(error_text(check(&lines[..2], Some(chain.head))).contains("cut off"));
    }

    #[test]
    fn an_invalid_log_is_reported_with_the_entry() {
        let mut changed = lines();
        changed[1] = changed[1].replace("Ana", "Eve");
        assert!(error_text(check(&changed, None)).contains("entry 2 was altered"));
        let mut missing = lines();
        missing.remove(1);
        assert!(error_text(check(&missing, None)).contains("entry 2 is missing"));
        let mut cut = lines();
        cut[2].truncate(40);
        assert!(error_text(check(&cut, None)).contains("can't read the entry after entry 2"));
        assert!(error_text(check(&[], None)).contains("no entry"));
    }
}
