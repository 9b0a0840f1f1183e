//! `constellation device …`.

use clap::{Args, Subcommand};
use protocol::device::{
    ApprovalRequest, CleanedUp, Device, DeviceState, QuarantineRequest, RemovedDevice,
};

use super::access::AccessArguments;
use super::lookup::id_of;
use crate::output;
use crate::settings::Settings;
use crate::value_parsers::days;

#[derive(Debug, Args)]
pub struct DeviceArguments {
    #[command(flatten)]
    access: AccessArguments,
    #[command(subcommand)]
    command: DeviceCommand,
}

#[derive(Debug, Subcommand)]
enum DeviceCommand {
    /// List devices and their state
    List,
    /// Revoke a device
    ///
    /// Ends its access and its leases immediately. The device then deletes its training data.
    Revoke {
        /// Name or id of the device, or a unique start of either
        #[arg(value_name = "DEVICE")]
        id: String,
    },
    /// Let a revoked device enroll again
    ///
    /// The device needs a join code, because its token is gone. It keeps its name, labels and contribution.
    Reinstate {
        /// Name or id of the device, or a unique start of either
        #[arg(value_name = "DEVICE")]
        id: String,
    },
    /// Remove revoked and inactive devices from the list
    Cleanup {
        /// Remove devices that have been inactive for this many days
        #[arg(long, value_name = "N", default_value_t = 30.0, value_parser = days)]
        inactive_days: f64,
    },
    /// Quarantine a device: assign it no work until it is released
    Quarantine {
        /// Name or id of the device, or a unique start of either
        #[arg(value_name = "DEVICE")]
        id: String,
        /// Reason, shown in the dashboard and to the device's user
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Approve the new key of a known Mac; the Mac's earlier record is removed
    Approve {
        /// Name or id of the device, or a unique start of either
        #[arg(value_name = "DEVICE")]
        id: String,
        /// Carry over the labels of the earlier record
        #[arg(long)]
        keep_labels: bool,
    },
    /// Release a device from quarantine
    Release {
        /// Name or id of the device, or a unique start of either
        #[arg(value_name = "DEVICE")]
        id: String,
    },
}

pub(super) async fn run(arguments: DeviceArguments, settings: Settings) -> anyhow::Result<()> {
    let json = arguments.access.json;
    let client = arguments.access.client(settings)?;
    match arguments.command {
        DeviceCommand::List => {
            let devices: Vec<Device> = client.get("/devices").await?;
            if json {
                return Ok(output::json(&devices)?);
            }
            let rows: Vec<[String; 8]> = devices.iter().map(row).collect();
            let headings = ["ID", "NAME", "TYPE", "CORES", "GPU", "STATE", "LAST SEEN", "NOTE"];
            Ok(output::table(headings, &rows)?)
        }
        DeviceCommand::Revoke { id } => {
            let id = id_of::<Device>(&client, &id).await?;
            let nothing = serde_json::json!({});
            let device: Device = client.post(&format!("/devices/{id}/revoke"), &nothing).await?;
            if json {
                return Ok(output::json(&device)?);
            }
            let words = format_args!("revoked {}", device.name);
            Ok(output::line(words)?)
        }
        DeviceCommand::Reinstate { id } => {
            let id = id_of::<Device>(&client, &id).await?;
            let path = format!("/devices/{id}/reinstate");
            let device: Device = client.post(&path, &serde_json::json!({})).await?;
            if json {
                return Ok(output::json(&device)?);
            }
            let words = format_args!("{} may enroll again, with a join code", device.name);
            Ok(output::line(words)?)
        }
        DeviceCommand::Cleanup { inactive_days } => {
            let path = format!("/devices/cleanup?inactive_days={inactive_days}");
            let cleaned: CleanedUp = client.post(&path, &serde_json::json!({})).await?;
            if json {
                return Ok(output::json(&cleaned)?);
            }
            for RemovedDevice { id, name } in &cleaned.removed {
                output::line(format_args!("removed {name} ({id})"))?;
            }
            if cleaned.removed.is_empty() {
                output::note("no devices to remove");
            }
            Ok(())
        }
        DeviceCommand::Quarantine { id, reason } => {
            let id = id_of::<Device>(&client, &id).await?;
            let path = format!("/devices/{id}/quarantine");
            let device: Device = client.post(&path, &QuarantineRequest { reason }).await?;
            if json {
                return Ok(output::json(&device)?);
            }
            let words =
                format_args!("quarantined {}; it gets no work until it is released", device.name);
            Ok(output::line(words)?)
        }
        DeviceCommand::Approve { id, keep_labels } => {
            let id = id_of::<Device>(&client, &id).await?;
            let path = format!("/devices/{id}/approve");
            let device: Device = client.post(&path, &ApprovalRequest { keep_labels }).await?;
            if json {
                return Ok(output::json(&device)?);
            }
            let words = format_args!("{} is approved; its earlier record is removed", device.name);
            Ok(output::line(words)?)
        }
        DeviceCommand::Release { id } => {
            let id = id_of::<Device>(&client, &id).await?;
            let path = format!("/devices/{id}/release");
            let device: Device = client.post(&path, &serde_json::json!({})).await?;
            if json {
                return Ok(output::json(&device)?);
            }
            Ok(output::line(format_args!("released {} from quarantine", device.name))?)
        }
    }
}

fn row(device: &Device) -> [String; 8] {
    let state = match (device.state, device.reason) {
        _ if device.revoked => "revoked",
        _ if device.approval.is_some() => "awaiting approval",
        _ if device.quarantined.is_some() => "in quarantine",
        (DeviceState::Held, Some(reason)) => reason.to_text(),
        (DeviceState::Held, None) => "held",
        (DeviceState::Waiting, _) => "waiting",
        (DeviceState::Training, _) => "training",
        (DeviceState::Offline, _) if device.stopped => "stopped",
        (DeviceState::Offline, _) => "offline",
    };
    [
        device.id.to_string(),
        device.name.clone(),
        device.device_type.clone(),
        device.cores.to_string(),
        device.gpu_name.clone().unwrap_or_default(),
        state.to_owned(),
        device.last_seen.to_string(),
        device.note.clone().unwrap_or_default(),
    ]
}
