// Labels of the API's names, shared by all pages.
import type { Device } from './api/types';
import type { DeviceState, HoldReason, JobStatus, NoticeKind, SampleShape } from './api/types';

export const STATES: Record<DeviceState, string> = {
  training: 'Training',
  waiting: 'Waiting for work',
  held: 'Held back',
  offline: 'Offline',
};

export const REASONS: Record<HoldReason, string> = {
  in_use: 'in use by its owner',
  on_battery: 'on battery',
  too_warm: 'too warm',
  scheduled: 'outside its schedule',
  paused: 'paused by its owner',
  unknown: 'reason not shared',
};

export const STATUSES: Record<JobStatus, string> = {
  pending: 'Not started',
  preparing: 'Preparing',
  running: 'Running',
  paused: 'Paused',
  completed: 'Completed',
  failed: 'Failed',
  cancelled: 'Canceled',
};

export const NOTICES: Record<NoticeKind, string> = {
  job_completed: 'Job completed',
  job_failed: 'Job failed',
  job_cancelled: 'Job canceled',
  job_stalled: 'Job stalled',
  device_quarantined: 'Device quarantined',
  device_awaiting_approval: 'Approval needed',
  disk_nearly_full: 'Disk nearly full',
  backup_failed: 'Backup failed',
  certificate_expiring: 'Certificate expiring',
};

/** A device's state with its reason, in one line. */
export function stateLabel(device: Device): string {
  if (device.revoked) return 'Revoked';
  if (device.approval) return 'Awaiting approval';
  if (device.quarantined) return 'Quarantined';
  if (device.stopped) return 'Stopped';
  if (device.state !== 'held') return STATES[device.state];
  return device.reason ? `Held back: ${REASONS[device.reason]}` : STATES.held;
}

/** Name of the CSS color variable of a device's state. */
export function colorOf(device: Device): string {
  if (device.revoked) return 'offline';
  return device.quarantined || device.approval ? 'bad' : device.state;
}

export function isOver(status: JobStatus): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

export function isActive(status: JobStatus): boolean {
  return status === 'running' || status === 'preparing' || status === 'paused';
}

export function sampleLabel(sample: SampleShape): string {
  if (sample.kind === 'text') return 'text';
  const depth =
    sample.channels === 1
      ? 'grayscale'
      : sample.channels === 3
        ? 'color'
        : `${sample.channels} channels`;
  return `${sample.width}×${sample.height} image, ${depth}`;
}

/** Formats `returned_early` as `returned early`. */
export function withSpaces(name: string): string {
  return name.replaceAll('_', ' ');
}
