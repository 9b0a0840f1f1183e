// Short names of the app's types, which `npm run types` generates from app-openapi.json into schema.d.ts.
import type { components } from './schema';

type Schemas = components['schemas'];

export type View = Schemas['View'];
export type WorkView = Schemas['WorkView'];
export type Amount = Schemas['Amount'];
export type GivenView = Schemas['GivenView'];
export type InvitationView = Schemas['InvitationView'];
export type CoordinatorView = Schemas['CoordinatorView'];
export type Icon = Schemas['Icon'];
export type Seen = Schemas['Seen'];
export type Setting = Schemas['Setting'];
export type SettingsView = Schemas['SettingsView'];
export type SettingKind = Schemas['SettingKind'];
