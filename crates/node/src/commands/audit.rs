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

#[derive(Debug, Args)]
pub struct AuditArguments {
    #[command(flatten)]
    access: AccessArguments,
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// List who changed what, the oldest first
    List {
        /// Begin after this entry [default: the last entries]
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50,
            value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
    },
    /// Save the whole log, a JSON object a line
    Export { file: PathBuf },
    /// Check that no entry was changed, left out or put in
    Verify {
        /// An exported log [default: the coordinator's own]
        file: Option<PathBuf>,
        /// The hash of an entry that was kept elsewhere: the log must still have that entry
        #[arg(long, value_name = "HASH")]
        head: Option<AuditHash>,
    },
}

pub async fn run(arguments: AuditArguments, settings: Settings) -> anyhow::Result<()> {
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
            let headings = ["NUMBER", "WHEN", "WHO", "ROLE", "FROM", "WHAT", "DETAIL"];
            Ok(output::table(headings, &rows)?)
        }
        AuditCommand::Export { file } => {
            let client = arguments.access.client(settings)?;
            let chain = export(&client, &file).await?;
            tell(json, &file.display().to_string(), &chain)
        }
        AuditCommand::Verify { file, head } => {
            let (name, chain) = if let Some(file) = file {
                let open = std::fs::File::open(&file);
                let open = open.with_context(|| format!("can't read {}", file.display()))?;
                let mut check = Check::new(head);
                for line in BufReader::new(open).lines() {
                    let line = line.with_context(|| format!("can't read {}", file.display()))?;
                    check.line(line.as_bytes())?;
                }
                (file.display().to_string(), check.end()?)
            } else {
                let client = arguments.access.client(settings)?;
                let mut check = Check::new(head);
                read_lines(&client, |line| check.line(line)).await?;
                (client.address().to_owned(), check.end()?)
            };
            tell(json, &name, &chain)
        }
    }
}

/// Saves the log, whole or not at all; one that doesn't hold is not saved as if it did.
async fn export(client: &Client, file: &Path) -> anyhow::Result<Chain> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let cannot_write = || format!("can't write {}", file.display());
    let part = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")));
    let mut part = part.with_context(cannot_write)?;
    let mut check = Check::new(None);
    read_lines(client, |line| {
        check.line(line)?;
        part.write_all(line).with_context(cannot_write)?;
        part.write_all(b"\n").with_context(cannot_write)
    })
    .await?;
    let chain = check.end()?;
    part.as_file().sync_all().with_context(cannot_write)?;
    part.persist(file).with_context(cannot_write)?;
    Ok(chain)
}

/// Gives each line of the coordinator's log to `take`.
async fn read_lines(
    client: &Client,
    mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let response = client.send(client.request(Method::GET, "/audit/export")).await?;
    let mut body = response.bytes_stream();
    let mut rest = Vec::new();
    while let Some(piece) = body.next().await {
        rest.extend_from_slice(&piece.map_err(|error| client.broken(error))?);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            take(&rest[..end])?;
            rest.drain(..=end);
        }
    }
    if rest.is_empty() { Ok(()) } else { take(&rest) }
}

/// A log that is followed line by line.
#[derive(Debug)]
struct Check {
    chain: Chain,
    /// What somebody kept, for as long as the log didn't come by it.
    awaited: Option<AuditHash>,
}

impl Check {
    fn new(head: Option<AuditHash>) -> Self {
        Self { chain: Chain::default(), awaited: head }
    }

    fn line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let entry: Entry = serde_json::from_slice(line)
            .with_context(|| format!("what follows entry {} can't be read", self.chain.number))?;
        self.chain.follow(&entry)?;
        self.awaited.take_if(|head| self.chain.is_at(*head));
        Ok(())
    }

    fn end(self) -> anyhow::Result<Chain> {
        if let Some(head) = self.awaited {
            bail!(
                "the log has no entry with the hash {head}: it was cut off before that entry, or \
                 written anew"
            );
        }
        if self.chain.number == 0 {
            bail!("the log has no entry; every coordinator's has one from its first start");
        }
        Ok(self.chain)
    }
}

fn tell(json: bool, name: &str, chain: &Chain) -> anyhow::Result<()> {
    let (number, hash) = (chain.number, chain.head);
    if json {
        return Ok(output::json(&serde_json::json!({ "entries": number, "head": hash }))?);
    }
    output::line(format_args!("{name}: {number} entries, none changed or missing"))?;
    Ok(output::line(format_args!("head {hash} (keep it elsewhere: verify --head {hash})"))?)
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
        let mut check = Check::new(head);
        lines.iter().try_for_each(|line| check.line(line.as_bytes()))?;
        check.end()
    }

    fn words(result: anyhow::Result<Chain>) -> String {
        format!("{:#}", result.unwrap_err())
    }

    #[test]
    fn a_log_holds_and_comes_by_a_head_that_was_kept() {
        let lines = lines();
        let chain = check(&lines, None).unwrap();
        assert_eq!(chain.number, 3);
        let earlier: Entry = serde_json::from_str(&lines[1]).unwrap();
        check(&lines, Some(earlier.hash)).unwrap();
        check(&lines, Some(chain.head)).unwrap();
        // Cut off behind what was kept.
        assert!(words(check(&lines[..2], Some(chain.head))).contains("cut off"));
    }

    #[test]
    fn a_log_that_does_not_hold_says_where() {
        let mut changed = lines();
        changed[1] = changed[1].replace("Ana", "Eve");
        assert!(words(check(&changed, None)).contains("entry 2 is not what was written"));
        let mut missing = lines();
        missing.remove(1);
        assert!(words(check(&missing, None)).contains("entry 2 is missing"));
        let mut cut = lines();
        cut[2].truncate(40);
        assert!(words(check(&cut, None)).contains("what follows entry 2 can't be read"));
        assert!(words(check(&[], None)).contains("no entry"));
    }
}
