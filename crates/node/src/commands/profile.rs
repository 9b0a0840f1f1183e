//! `constellation profile`: the same bytes as the dashboard's, for who has the join link and no browser.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use protocol::join::{Join, JoinCode};
use protocol::profile::Profile;
use reqwest::tls::TlsInfo;
use worker::pinned_tls::{Address, WrongPin, pinned};

use crate::output;

#[derive(Debug, Args)]
pub struct ProfileArguments {
    /// The join link that the Macs enrol by: for many uses, and for as long as the profile is handed out
    #[arg(long, value_name = "LINK")]
    join: Join,
    /// Where the profile goes; it holds the link's secret
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where the Macs find the coordinator [default: the link's first address]
    #[arg(long, value_name = "URL")]
    coordinator: Option<String>,
    /// The team that signed the app: its login item is then allowed for this team alone
    #[arg(long, value_name = "ID")]
    team_id: Option<String>,
    /// Don't ask the coordinator for its certificate, and leave it out
    #[arg(long)]
    without_certificate: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: ProfileArguments) -> anyhow::Result<()> {
    let code = match arguments.join {
        Join::Link(code) => code,
        Join::Typed(_) => bail!(
            "a profile is made of the join link, which names the cluster and its pin; this is the code for typing"
        ),
    };
    let url = match arguments.coordinator {
        Some(url) => url,
        None => format!(
            "https://{}",
            code.addresses.first().context("the link names no address: give --coordinator")?
        ),
    };
    let address: Address = url.parse()?;
    let certificate = if arguments.without_certificate {
        None
    } else {
        Some(certificate(&code, &address).await?)
    };
    let team_id = arguments.team_id.as_deref();
    let profile = Profile { code: &code, url: &url, certificate: certificate.as_deref(), team_id };
    let file = &arguments.out;
    platform::files::write_private(file, profile.text().as_bytes())
        .with_context(|| format!("can't write {}", file.display()))?;
    if arguments.json {
        let certificate = certificate.is_some();
        output::json(
            &serde_json::json!({ "file": file, "coordinator": url, "certificate": certificate }),
        )?;
    } else {
        output::line(format_args!(
            "{} is for Macs that find the coordinator at {url}",
            file.display()
        ))?;
        output::note("It holds the join link's secret: give it to your MDM and to nobody else.");
    }
    Ok(())
}

/// What the holder of the pinned key shows at this address, which is so proven to be the right one.
async fn certificate(code: &JoinCode, address: &Address) -> anyhow::Result<Vec<u8>> {
    let builder = reqwest::Client::builder().tls_info(true).timeout(Duration::from_secs(10));
    let client = pinned(builder, address, code.pin)?.build()?;
    let response = client.get(format!("{}/health", address.base())).send().await.map_err(|error| {
        match WrongPin::behind(&error) {
            Some(wrong) => anyhow!(wrong),
            None => anyhow!(
                "no coordinator answers at {address}, so its certificate can't be put into the profile: run this where it can be \
                 reached, or leave the certificate out by --without-certificate"
            ),
        }
    })?;
    let shown = response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    Ok(shown.context("the coordinator's certificate can't be read")?.to_owned())
}

#[cfg(test)]
mod tests {
    use protocol::Pin;
    use protocol::join::{JoinSecret, SECRET_BYTES};
    use uuid::Uuid;

    use super::*;

    /// What IT fills in by hand where it can't use the command; `CONSTELLATION_WRITE=1` writes it.
    #[test]
    fn the_template_for_it_is_what_the_command_writes() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/mdm/constellation.mobileconfig");
        let code = JoinCode {
            cluster_name: "Example & Co".into(),
            cluster_id: Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057),
            addresses: vec![],
            pin: Pin::from_bytes([0; 32]),
            secret: JoinSecret::from_bytes([0; SECRET_BYTES]),
        };
        let url = "https://coordinator.example.com:8000";
        let profile = Profile { code: &code, url, certificate: None, team_id: Some("TEAMID1234") };
        let text = profile.text();
        if std::env::var_os("CONSTELLATION_WRITE").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap();
        assert_eq!(kept, text, "CONSTELLATION_WRITE=1 writes it");
    }
}
