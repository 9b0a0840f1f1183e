//! `constellation join-code …`.

use anyhow::Context;
use clap::{Args, Subcommand};
use protocol::join::{CreatedJoinCode, JoinCodeRequest, JoinCodeState, JoinCodeView};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use super::access::AccessArguments;
use super::coordinator::local_only;
use super::lookup::id_of;
use crate::output;
use crate::settings::Settings;
use crate::value_parsers::whole_number;

#[derive(Debug, Args)]
pub struct JoinCodeArguments {
    #[command(flatten)]
    access: AccessArguments,
    #[command(subcommand)]
    command: JoinCodeCommand,
}

#[derive(Debug, Subcommand)]
enum JoinCodeCommand {
    /// Create a join code
    ///
    /// Prints the join link, the typed code and a QR code. They are not shown again.
    Create {
        /// Name of the join code, for lists and the audit log
        #[arg(long, default_value = "")]
        name: String,
        /// Number of devices that can enroll with it
        #[arg(long, value_name = "N", default_value_t = 1,
            value_parser = whole_number(1..=1_000_000_u32, "a whole number of devices", 5))]
        uses: u32,
        /// Lifetime of the join code, such as 12h, 7d or 4w
        #[arg(long, value_name = "TIME", default_value = "7d", value_parser = seconds)]
        expires: u64,
        /// Don't print the QR code
        #[arg(long)]
        no_qr: bool,
    },
    /// List join codes, without their secrets
    List,
    /// Revoke a join code; devices that it enrolled stay enrolled
    Revoke {
        /// Name or id of the join code, or a unique start of either
        #[arg(value_name = "JOIN_CODE")]
        id: String,
    },
}

fn seconds(text: &str) -> Result<u64, String> {
    let seconds = protocol::duration::parse(text).map_err(|error| error.to_string())?.as_secs();
    Some(seconds).filter(|seconds| *seconds > 0).ok_or_else(|| format!("'{text}' is below 1s"))
}

pub(super) async fn run(arguments: JoinCodeArguments, settings: Settings) -> anyhow::Result<()> {
    let json = arguments.access.json;
    let client = arguments.access.client(settings)?;
    match arguments.command {
        JoinCodeCommand::Create { name, uses, expires, no_qr } => {
            let request = JoinCodeRequest { name, uses: Some(uses), expires_in: Some(expires) };
            let created: CreatedJoinCode = client.post("/join-codes", &request).await?;
            if json {
                return Ok(output::json(&created)?);
            }
            if !no_qr {
                output::lines(&qr(&created.link)?)?;
            }
            output::line(&created.link)?;
            output::line(format_args!("typed code: {}", created.code))?;
            let devices = if created.maximum_uses == 1 { "device" } else { "devices" };
            output::note(format_args!(
                "valid for {} {devices} until {}. On each device, run: constellation worker --join CODE",
                created.maximum_uses, created.expires_at
            ));
            if let Some(command) = &created.listen_command {
                output::warning(local_only(command));
            }
        }
        JoinCodeCommand::List => {
            let codes: Vec<JoinCodeView> = client.get("/join-codes").await?;
            if json {
                return Ok(output::json(&codes)?);
            }
            let rows: Vec<[String; 6]> = codes.iter().map(row).collect();
            output::table(["ID", "NAME", "STATE", "USES", "EXPIRES", "CREATED"], &rows)?;
        }
        JoinCodeCommand::Revoke { id } => {
            let id = id_of::<JoinCodeView>(&client, &id).await?;
            client.delete(&format!("/join-codes/{}", crate::client::escaped(&id))).await?;
            if json {
                output::json(&serde_json::json!({ "id": id, "revoked": true }))?;
            } else {
                output::line(format_args!("join code {id} is revoked"))?;
            }
        }
    }
    Ok(())
}

/// Renders the text as a QR code with half-block characters.
fn qr(text: &str) -> anyhow::Result<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L)
        .context("the join link is too long for a QR code. Use --no-qr")?;
    // Most terminals are dark, so the light modules are drawn.
    let mut image = code.render::<Dense1x2>();
    Ok(image.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

fn row(code: &JoinCodeView) -> [String; 6] {
    let state = match code.state {
        JoinCodeState::Open => "open".to_owned(),
        JoinCodeState::UsedUp => "used up".to_owned(),
        JoinCodeState::Expired => "expired".to_owned(),
        JoinCodeState::Revoked => "revoked".to_owned(),
        JoinCodeState::Closed => format!("closed after {} unfinished attempts", code.tries),
    };
    [
        code.id.clone(),
        code.name.clone(),
        state,
        format!("{} of {}", code.uses, code.maximum_uses),
        code.expires_at.to_string(),
        code.created_at.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(seconds("7d"), Ok(604_800));
        assert_eq!(seconds("90m"), Ok(5400));
        for wrong in ["", "7", "d", "0d", "-1d", "7y", "7 é", "99999999999999999999w"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    /// Read back by looking at the corners: each has a finder pattern, and the quiet zone is light.
    #[test]
    fn a_link_of_any_length_has_a_qr_code() {
        let longest = format!("{}{}", protocol::join::LINK_PREFIX, "A".repeat(1600));
        for link in [format!("{}AQ", protocol::join::LINK_PREFIX), longest] {
            let image = qr(&link).unwrap();
            let lines: Vec<&str> = image.lines().collect();
            assert!(lines.len() > 12 && lines.iter().all(|line| !line.is_empty()));
            assert!(lines[0].chars().all(|c| c == '█'), "{image}");
        }
    }
}
