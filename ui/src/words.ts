// The words for what the API names, the same on every page.
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
  unknown: 'no reason given',
};

export const STATUSES: Record<JobStatus, string> = {
  pending: 'Not started',
  preparing: 'Preparing',
  running: 'Running',
  paused: 'Paused',
  completed: 'Completed',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

export const NOTICES: Record<NoticeKind, string> = {
  job_completed: 'Job completed',
  job_failed: 'Job failed',
  job_cancelled: 'Job cancelled',
  job_stalled: 'Job stalled',
  device_quarantined: 'Device quarantined',
  device_awaiting_approval: 'Approval needed',
  disk_nearly_full: 'Disk nearly full',
  backup_failed: 'Backup failed',
  certificate_expiring: 'Certificate expiring',
};

/** A device's state with its reason, in one line. */
export function stateOf(device: Device): string {
  if (device.revoked) return 'Revoked';
  if (device.approval) return 'Awaiting approval';
  if (device.quarantined) return 'Quarantined';
  if (device.state !== 'held') return STATES[device.state];
  return device.reason ? `Held back: ${REASONS[device.reason]}` : STATES.held;
}

/** The colour of a device's state, by the stylesheet's name. */
export function colourOf(device: Device): string {
  if (device.revoked) return 'offline';
  return device.quarantined || device.approval ? 'bad' : device.state;
}

export function isOver(status: JobStatus): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

export function isUnderWay(status: JobStatus): boolean {
  return status === 'running' || status === 'preparing' || status === 'paused';
}

export function shapeWords(sample: SampleShape): string {
  if (sample.kind === 'text') return 'text';
  const depth =
    sample.channels === 1
      ? 'grey'
      : sample.channels === 3
        ? 'colour'
        : `${sample.channels} channels`;
  return `${sample.width}×${sample.height} image, ${depth}`;
}

/** `returned_early` as `returned early`. */
export function spaced(word: string): string {
  return word.replaceAll('_', ' ');
}
