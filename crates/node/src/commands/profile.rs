//! `constellation profile`: writes the same configuration profile as the dashboard, byte for byte.

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
    /// Join link that enrolls the Macs; create it with enough --uses and a long --expires
    #[arg(long, value_name = "LINK")]
    join: Join,
    /// File to write; it contains the secret of the join link. `-` writes to standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Address of the coordinator [default: the first address of the join link]
    #[arg(long, value_name = "URL")]
    coordinator: Option<String>,
    /// Apple team id of the app's signature; preapproves the app's login item
    #[arg(long, value_name = "ID")]
    team_id: Option<String>,
    /// Leave out the coordinator's certificate, which only browsers need
    #[arg(long)]
    without_certificate: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: ProfileArguments) -> anyhow::Result<()> {
    let code = match arguments.join {
        Join::Link(code) => code,
        Join::Typed(_) => bail!(
            "a profile needs the join link, which contains the cluster and its pin; this is a typed code"
        ),
    };
    let url = match arguments.coordinator {
        Some(url) => url,
        None => format!(
            "https://{}",
            code.addresses.first().context("the join link contains no address. Pass the coordinator's address with --coordinator")?
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
    output::write_file(file, profile.to_xml().as_bytes())
        .with_context(|| format!("can't write {}", file.display()))?;
    if arguments.json {
        let certificate = certificate.is_some();
        output::json(
            &serde_json::json!({ "file": file, "coordinator": url, "certificate": certificate }),
        )?;
    } else {
        output::line(format_args!("wrote {} for the coordinator at {url}", file.display()))?;
        output::note(
            "The file contains the secret of the join link. Upload it to your MDM and don't share it.",
        );
    }
    Ok(())
}

/// Fetches the certificate of the coordinator at this address, after the pinned key has proven its identity.
async fn certificate(code: &JoinCode, address: &Address) -> anyhow::Result<Vec<u8>> {
    let builder = reqwest::Client::builder().tls_info(true).timeout(Duration::from_secs(10));
    let client = pinned(builder, address, code.pin)?.build()?;
    let response = client.get(format!("{}/health", address.base())).send().await.map_err(|error| {
        match WrongPin::behind(&error) {
            Some(wrong) => anyhow!(wrong),
            None => anyhow!(
                "can't fetch the coordinator's certificate, because no coordinator answers at {address}. Run this on a network \
                 that reaches it, or leave the certificate out with --without-certificate"
            ),
        }
    })?;
    let certificate = response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    Ok(certificate.context("the coordinator's certificate can't be read")?.to_owned())
}

#[cfg(test)]
mod tests {
    use protocol::Pin;
    use protocol::join::{JoinSecret, SECRET_BYTES};
    use uuid::Uuid;

    use super::*;

    /// The template is for IT departments that can't run the command; `CONSTELLATION_WRITE=1` writes it.
    #[test]
    fn the_kept_template_is_what_the_command_writes() {
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
        let text = profile.to_xml();
        if std::env::var_os("CONSTELLATION_WRITE").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap();
        assert_eq!(kept, text, "CONSTELLATION_WRITE=1 writes it");
    }
}
