// The states of the app that its pages are looked at in.
import type { Setting, SettingsView, View } from '../app/types';
import settings from './settings.json';

const AMOUNT = { leases: 0, examples: 0, gpu_seconds: 0, cpu_seconds: 0, watt_hours: 0 };

const WAITING: View = {
  mode: { is_chosen: true, is_managed: false, worker: true, coordinator: false },
  icon: { kind: 'waiting' },
  line: 'Waiting: you’re using the Mac',
  detail: 'Training starts once nobody has used it for 5 minutes.',
  work: null,
  membership: { state: 'member', cluster: 'Acme Research' },
  invitation: null,
  given: {
    today: { leases: 4, examples: 18_400, gpu_seconds: 1260, cpu_seconds: 0, watt_hours: 12.4 },
    total: {
      leases: 912,
      examples: 4_310_000,
      gpu_seconds: 273_600,
      cpu_seconds: 5400,
      watt_hours: 2280,
    },
  },
  wish: { kind: 'none' },
  may: { pause: true, quit: true },
  company_sees: [
    { name: 'Name of this Mac', value: 'Ada’s MacBook Pro' },
    { name: 'Model', value: 'MacBook Pro, M3 Pro, 36 GB' },
    { name: 'State', value: 'in use' },
    { name: 'Version', value: '0.1.0' },
  ],
  coordinator: { state: 'off' },
  notes: [],
  machine: 'Mac',
  update: { state: 'current' },
  version: '0.1.0',
};

const TRAINING: View = {
  ...WAITING,
  icon: { kind: 'training', progress: 0.62 },
  line: 'Training AG News, round 7 of 20',
  detail: 'Stops the moment you touch the Mac.',
  work: {
    job_name: 'AG News, topics for the help desk',
    round: 7,
    total_rounds: 20,
    partition: 3,
    step: 248,
    steps: 400,
  },
};

const RUNNING: View = {
  ...WAITING,
  mode: { ...WAITING.mode, worker: false, coordinator: true },
  line: 'Coordinating Acme Research: 12 devices',
  detail: '',
  coordinator: {
    state: 'running',
    cluster: 'Acme Research',
    url: 'https://10.0.0.4:8443',
    warning: 'On battery: plug it in, or the running job stops when this Mac sleeps.',
  },
  company_sees: [],
};

export const VIEWS: Record<string, View> = {
  waiting: WAITING,
  training: TRAINING,
  paused: {
    ...WAITING,
    icon: { kind: 'paused' },
    line: 'Paused until 14:00',
    detail: 'You paused it.',
    wish: { kind: 'paused', until: '14:00' },
  },
  attention: {
    ...WAITING,
    icon: { kind: 'attention' },
    line: 'Not connected: local network access is off',
    detail:
      'Allow Constellation in System Settings, Privacy & Security, Local Network. It connects by itself then.',
    notes: ['This Mac can’t tell whether it is in a call.'],
  },
  contributing: {
    ...TRAINING,
    wish: { kind: 'contributing', until: '15:10' },
    detail: 'You asked for it, until 15:10.',
  },
  'not-joined': {
    ...WAITING,
    line: 'Not in a cluster yet',
    detail: 'A join code from your admin makes this Mac part of one.',
    membership: { state: 'none', problem: 'Nobody on this network knows that code.' },
    given: { today: AMOUNT, total: AMOUNT },
  },
  coordinator: RUNNING,
  both: {
    ...TRAINING,
    mode: { ...TRAINING.mode, coordinator: true },
    coordinator: { ...RUNNING.coordinator, warning: null } as View['coordinator'],
  },
  managed: {
    ...TRAINING,
    mode: { ...TRAINING.mode, is_managed: true },
    may: { pause: false, quit: false },
  },
  fresh: {
    ...WAITING,
    mode: { is_chosen: false, is_managed: false, worker: false, coordinator: false },
    line: 'Not set up yet',
    detail: '',
    membership: { state: 'none', problem: null },
    given: { today: AMOUNT, total: AMOUNT },
    company_sees: [],
  },
};

const INVITATION: View['invitation'] = {
  id: 'first',
  cluster: 'Acme Research, Building 7, second floor',
  pin: ['q83v', 'EjRW', 'eJq8', '3vAS', 'NFZ4', 'mrze', '8BI0', 'Vnia', 'vN7w', 'EjRW', 'eJo'],
  addresses: ['10.0.0.4:8000', '[2001:db8::7]:8000', 'coordinator.acme.example:8000'],
  obstacle: null,
};
const hindered = (obstacle: string): View => ({
  ...WAITING,
  invitation: { ...INVITATION, obstacle },
});

/** The states of the window that asks about a link. */
export const INVITATIONS: Record<string, View> = {
  open: { ...WAITING, membership: { state: 'none', problem: null }, invitation: INVITATION },
  member: hindered(
    'This Mac belongs to the cluster “Acme Research”. Leave it first (Settings → Leave the cluster), then open the link or give the code again.',
  ),
  managed: hindered('Managed by your organization: links and join codes are ignored.'),
};

/** Values that differ from the defaults. */
const VALUES: Record<string, [value: unknown, origin: Setting['origin']]> = {
  IdleSeconds: [600, 'user'],
  Schedule: ['Mon-Fri 19:00-07:00, Sat-Sun 00:00-24:00', 'user'],
  PauseDuringVideo: [true, 'managed'],
  PauseInFullScreen: [false, 'user'],
  MaximumThermalState: ['fair', 'managed'],
  MaximumCacheGB: [20, 'environment'],
  AllowUserQuit: [false, 'managed'],
};

// The app's own list, which a test of the app writes (crates/node/src/settings/documents.rs).
export const SETTINGS: SettingsView = {
  settings: (settings as Setting[]).map((setting) => {
    const [value, origin] = VALUES[setting.key] ?? [setting.value, setting.origin];
    return { ...setting, value, origin };
  }),
  unknown: [
    { name: 'Low-power mode', value: 'this system has none' },
    { name: 'Calls', value: 'no PipeWire answers here' },
  ],
};
