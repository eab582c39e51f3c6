// The documents of the API, as far as the page reads them. A test holds them to /openapi.json.

export interface Self {
  name: string;
  admin: boolean;
  via: string; // how he is known
  permissions: string[] | null; // what he may somewhere
  version: string;
  slap?: boolean; // it is a SlapOS master, for him
}

export interface SignIn {
  issuer?: string;
}

export interface Problem {
  status: number;
  code: string;
  detail: string;
  hint?: string;
}

export interface States {
  creating: number;
  setting_up: number;
  ready: number;
  leased: number;
  cleaning: number;
  failed: number;
  discarding: number;
  held: number;
}

export interface Source {
  name: string;
  type: string;
  cached: number;
  in_use: number;
  max: number;
  wanted: number;
  states: States;
  waiting: number;
  orphaned: boolean;
  error?: string;
  failures: number;
  last_error?: string;
  paused_until?: string;
  sources?: string[] | null;
}

export interface Lease {
  id: string;
  name?: string;
  instance: string;
  source: string;
  owner: string;
  purpose?: string;
  pool?: string;
  given: string;
  used: string;
  ttl: number;
  idle: number;
  deadline: string | null;
}

export interface Phases {
  wait: number;
  create: number;
  connect: number;
  set_up: number;
}

export interface Instance {
  name: string;
  source: string;
  state: string;
  since: string;
  created: string;
  address?: string;
  provider_id?: string;
  facts?: Record<string, string>;
  uses: number;
  generation: number;
  behind?: string;
  reason?: string;
  phases: Phases;
  lease?: Lease;
}

export interface Event {
  id: number;
  time: string;
  kind: string;
  source?: string;
  instance?: string;
  lease?: string;
  owner?: string;
  text?: string;
  data?: Record<string, string>;
}

export interface Directive {
  do: string;
  count?: number;
  instance?: string;
  reserve?: number;
  spare?: number;
  reason: string;
}

export interface Directed extends Directive {
  id: number;
  time: string;
  source: string;
}

export interface Plan {
  source: string;
  have: number;
  cold: number;
  wanted: number;
  kept: number;
  reason: string;
  dry_run: boolean;
  broken?: boolean;
  directives: Directive[] | null;
}

export interface Plans {
  time: string;
  directs: boolean;
  plans: Plan[] | null;
  directives: Directed[] | null;
}

export interface Point {
  time: string;
  given: number;
  hits: number;
  misses: number;
  waited: number | null;
  longest: number | null;
  made: number;
  failed: number;
  present: number | null;
  in_use: number | null;
  cost: number | null;
}

export interface History {
  step: number;
  priced: boolean;
  points: Point[] | null;
}

export interface Waiter {
  id: number;
  source: string;
  count: number;
  owner: string;
  since: string;
  position: number;
  estimate: number | null;
  priority: number;
  purpose?: string;
  reason?: string;
}

export interface TerminalEnd {
  status: number;
  signal?: string;
  reason?: string;
}

export interface SlapStatus {
  state?: string;
  message?: string;
  error: boolean;
  since: string;
  at: string;
}

export interface SlapComputer {
  computer: string;
  title?: string;
  owner?: string;
  project?: string;
  network?: string;
  created: string | null;
  partitions: number;
  busy: number;
  releases: number;
  status: SlapStatus | null;
}

export interface SlapPartition {
  partition: string;
  addresses: string[];
  instance: SlapInstance | null;
  programs: SlapProgram[];
  promises: SlapPromise[];
}

export interface SlapProgram {
  name: string;
  state: string;
  pid?: number;
  started: string | null;
  cpu: number;
  memory: number;
}

export interface SlapPromise {
  name: string;
  failed: boolean;
  text?: string;
  at: string | null;
  hours?: string;
  until: string | null;
}

export interface SlapRelease {
  release: string;
  state: string;
  created: string;
  status: SlapStatus | null;
}

export interface SlapComputerDetail extends SlapComputer {
  slots: SlapPartition[];
  supplied: SlapRelease[];
  told: string | null;
}

export interface SlapInstance {
  instance: string;
  title: string;
  root: string;
  root_title: string;
  parent?: string;
  parent_title?: string;
  owner?: string;
  project?: string;
  shared: boolean;
  release: string;
  type: string;
  asked: string;
  state: string;
  computer?: string;
  partition?: string;
  host?: string;
  host_title?: string;
  reason?: string;
  members?: number;
  unplaced?: number;
  created: string;
  changed: string | null;
  status: SlapStatus | null;
}

export interface SlapInstanceDetail extends SlapInstance {
  parameters: Record<string, unknown>;
  filter: Record<string, string>;
  addresses: string[];
  connection: string[];
}

export interface SlapConnection {
  values: Record<string, unknown>;
}

export interface SlapType {
  type: string;
  title?: string;
  description?: string;
  shared: boolean;
  schema?: Record<string, unknown>;
  problem?: string;
}

export interface SlapSoftware {
  release: string;
  name?: string;
  description?: string;
  types: SlapType[];
  unknown?: string;
}

export interface SlapUsagePoint {
  time: string;
  quantity: number;
}

export interface SlapUsageSeries {
  resource: string;
  title?: string;
  points: SlapUsagePoint[];
}

export interface SlapUsage {
  computer: string;
  of: string;
  known: string[];
  series: SlapUsageSeries[];
}
