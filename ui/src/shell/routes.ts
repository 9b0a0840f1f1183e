// Routes of all pages. Each page is loaded when it is first opened.
import { route } from './routeMatching';

const page = <T>(loaded: Promise<T>) => loaded as Promise<never>;

export const routes = [
  route('/', () => page(import('../pages/overview/Overview.svelte'))),
  route('/jobs', () => page(import('../pages/jobs/Jobs.svelte'))),
  route('/jobs/new', () => page(import('../pages/newjob/NewJob.svelte'))),
  route('/jobs/compare', () => page(import('../pages/jobs/Compare.svelte'))),
  route('/jobs/:id', () => page(import('../pages/job/JobPage.svelte'))),
  route('/devices', () => page(import('../pages/devices/Devices.svelte'))),
  route('/devices/:id', () => page(import('../pages/devices/DevicePage.svelte'))),
  route('/models', () => page(import('../pages/models/Models.svelte'))),
  route('/models/:name', () => page(import('../pages/models/ModelPage.svelte'))),
  route('/data', () => page(import('../pages/data/Datasets.svelte'))),
  route('/data/add/files', () => page(import('../pages/data/ImportPage.svelte'))),
  route('/data/:name', () => page(import('../pages/data/DatasetPage.svelte'))),
  route('/enroll', () => page(import('../pages/enroll/Enroll.svelte'))),
  route('/audit', () => page(import('../pages/admin/Audit.svelte'))),
  route('/tokens', () => page(import('../pages/admin/Tokens.svelte'))),
  route('/sessions', () => page(import('../pages/admin/Sessions.svelte'))),
  route('/webhooks', () => page(import('../pages/admin/Webhooks.svelte'))),
  route('/settings', () => page(import('../pages/admin/Settings.svelte'))),
];
