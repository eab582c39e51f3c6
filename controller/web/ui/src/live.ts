// What happens, as it happens: the journal as Server-Sent Events, taken up again where it broke off, whatever has become of the controller meanwhile.
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { get, reached, Refusal, self, whoAmI } from "./ask";
import type { Event } from "./types";

/** The newest events, the newest first. */
export const events = signal<Event[]>([]);

/** Grows when something has changed, at most about once a second; lists are asked for anew then. */
export const changed = signal(0);

/** The stream of events is open. */
export const live = signal(false);

const reading = "The journal is being read …";

/** Why events are not all that happened lately; "": they are. */
export const unheard = signal(reading);

const keep = 500;
const calm = 800; // ms between two looks at lists
const slow = 15_000; // ms after which they are looked at anyway: what is due by time alone is no event

let last = 0;
let stream: EventSource | undefined;
let pause = 500;
let begun = false;
let timed = false;
let whose = ""; // what was heard is what this one may see
let turn = 0; // another one's stream says nothing any more

/** start begins to listen, once somebody has signed in. What another one heard in this window is forgotten. */
export function start() {
  const name = `${self.value?.name} ${self.value?.via}`;
  if (begun && whose === name) return;
  if (whose !== name) {
    stream?.close();
    events.value = [];
    fresh = [];
    live.value = false;
    unheard.value = reading;
    last = 0;
  }
  whose = name;
  begun = true;
  void open(++turn);
  if (timed) return;
  timed = true;
  setInterval(() => !document.hidden && ring(), slow);
  document.addEventListener("visibilitychange", () => !document.hidden && ring());
  // A page that was left is kept for the way back, its stream too: that takes one of the six connections that a browser has for a controller, and after six
  // pages the next would wait for a minute.
  addEventListener("pagehide", () => {
    turn++;
    stream?.close();
    live.value = false;
  });
  addEventListener("pageshow", (e) => e.persisted && begun && void open(++turn));
}

let due: ReturnType<typeof setTimeout> | undefined;
let rung = 0;

/** ring has the lists looked at anew, soon. */
export function ring() {
  if (due !== undefined) return;
  due = setTimeout(
    () => {
      due = undefined;
      rung = Date.now();
      if (!document.hidden) changed.value++;
    },
    Math.max(30, calm - (Date.now() - rung)),
  );
}

let fresh: Event[] = [];
let drawn = false;

function hear(e: Event) {
  if (e.id <= last) return;
  last = e.id;
  fresh.push(e);
  if (fresh.length > keep) fresh.splice(0, fresh.length - keep);
  ring();
  if (drawn) return;
  drawn = true;
  setTimeout(() => {
    // a thousand events a second are drawn a few times a second
    drawn = false;
    events.value = [...fresh.reverse(), ...events.value].slice(0, keep);
    fresh = [];
  }, 100);
}

async function open(mine: number) {
  if (mine !== turn) return;
  if (self.value === null) {
    begun = false; // signing in starts it again
    return;
  }
  try {
    if (!last) {
      const first = (await get<{ events: Event[] | null }>("/v1/events?limit=" + keep)).events || [];
      if (mine !== turn) return;
      events.value = [...first].reverse();
      if (first.length) last = first[first.length - 1]!.id;
      unheard.value = "";
    }
  } catch (e) {
    if (mine === turn) unheard.value = `${(e as Refusal).message} What happened is not known.`;
    again(mine);
    return;
  }
  stream?.close();
  stream = new EventSource("/v1/events/watch?after=" + last);
  stream.onopen = () => {
    live.value = reached.value = true;
    pause = 500;
    ring();
  };
  stream.onmessage = (m) => hear(JSON.parse(m.data as string) as Event);
  stream.onerror = () => {
    // The browser's own way of connecting again gives up for good when it is refused once, as by a controller that is starting.
    if (mine !== turn) return;
    stream?.close();
    again(mine);
  };
}

function again(mine: number) {
  if (mine !== turn) return;
  live.value = false;
  setTimeout(async () => {
    await whoAmI();
    void open(mine);
  }, pause);
  pause = Math.min(pause * 2, 10_000);
}

export interface Asked<T> {
  data?: T;
  problem?: Refusal;
}

/**
 * useAsked is what a path answers, asked for anew when something has changed, one question after the other however slow the answers are. What was answered
 * last stays until then.
 */
export function useAsked<T>(path: string | undefined): Asked<T> {
  const [state, set] = useState<{ path?: string } & Asked<T>>({});
  const n = changed.value;
  const at = useRef<{ path?: string; stop?: AbortController; busy?: boolean; more?: boolean }>({});
  useEffect(() => {
    const mine = at.current;
    if (mine.path !== path) {
      mine.stop?.abort();
      mine.path = path;
      mine.stop = new AbortController();
      mine.busy = mine.more = false;
    }
    if (!path || mine.busy) {
      mine.more = true;
      return;
    }
    const stop = mine.stop!;
    const look = async (): Promise<void> => {
      mine.busy = true;
      mine.more = false;
      try {
        const data = await get<T>(path, stop.signal);
        if (!stop.signal.aborted) set({ path, data });
      } catch (problem) {
        const p = problem as Refusal;
        if (!stop.signal.aborted) set((was) => ({ path, data: was.path === path && p.status === 0 ? was.data : undefined, problem: p }));
      }
      if (stop.signal.aborted) return;
      mine.busy = false;
      if (mine.more) await look();
    };
    void look();
  }, [path, n]);
  useEffect(() => () => at.current.stop?.abort(), []);
  return state.path === path ? state : {};
}
