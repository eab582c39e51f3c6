// What a user may do to leases and instances: asked about first where something is lost, and said afterwards.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, query, Refusal, self } from "./ask";
import { ring } from "./live";
import { say } from "./said";
import type { Instance, Lease } from "./types";

interface Question {
  title: string;
  text: string;
  act: string; // on the button
  lost?: boolean;
  field?: { label: string; number?: boolean; value: string; hint?: string };
  doing?: string; // on the button while it is done
  run: (field: string, given: AbortSignal) => Promise<string>; // what was done
}

const question = signal<Question | undefined>(undefined);

/** asks asks something. */
export function asks(q: Question) {
  question.value = q;
}

/** Asking is the question that is open, as a dialog: Escape and its first button change nothing. */
export function Asking() {
  const q = question.value;
  const box = useRef<HTMLDialogElement>(null);
  const back = useRef<Element | null>(null);
  const given = useRef<AbortController | null>(null); // up, where it is closed while it is done
  const [field, setField] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    if (!q || !box.current) return;
    back.current = document.activeElement;
    setField(q.field?.value || "");
    setBusy(false);
    box.current.showModal();
  }, [q]);
  if (!q) return null;
  const close = () => {
    given.current?.abort();
    given.current = null;
    box.current?.close();
    question.value = undefined;
    if (back.current instanceof HTMLElement && back.current.isConnected) back.current.focus();
    else document.querySelector<HTMLElement>("h1")?.focus();
  };
  const run = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    const mine = new AbortController();
    given.current = mine;
    try {
      const done = await q.run(field, mine.signal);
      given.current = null;
      close();
      say(done);
    } catch (e) {
      if (mine.signal.aborted) return ring();
      close();
      say((e as Refusal).message + ((e as Refusal).hint ? ` (${(e as Refusal).hint})` : ""), true);
    }
    ring();
  };
  return (
    <dialog ref={box} aria-labelledby="asking" onCancel={close} onClose={() => question.value === q && close()}>
      <form onSubmit={run}>
        <h2 id="asking">{q.title}</h2>
        <p>{q.text}</p>
        {q.field && (
          <label>
            {q.field.label}
            {q.field.number ? (
              <input type="number" step="any" min="0" value={field} onInput={(e) => setField(e.currentTarget.value)} />
            ) : (
              <input type="text" value={field} onInput={(e) => setField(e.currentTarget.value)} maxLength={1000} />
            )}
            {q.field.hint && <small>{q.field.hint}</small>}
          </label>
        )}
        <div class="buttons">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class={q.lost ? "lost" : "main"} disabled={busy}>
            {busy && q.doing ? q.doing : q.act}
          </button>
        </div>
      </form>
    </dialog>
  );
}

const others = (lease?: Lease) => !!lease && lease.owner !== self.value?.name;

/** theirs is how an act on somebody else's is asked for. */
const theirs = (lease?: Lease) => query({ any: others(lease) });

export function take(source: string) {
  question.value = {
    title: `Take an instance of ${source}?`,
    text: "It is yours until you release it, or its time is over. Where none is ready one is made, or you wait in the queue; Cancel gives that up.",
    act: "Take",
    doing: "Taking …",
    field: { label: "What for", value: "", hint: "For people to read" },
    run: async (purpose, signal) => {
      const lease = await ask<Lease>("POST", "/v1/leases", { body: { source, ...(purpose && { purpose }) }, signal });
      return `${lease.instance} is yours.`;
    },
  };
}

export function release(lease: Lease) {
  question.value = {
    title: `Release ${lease.instance}?`,
    text: `${others(lease) ? lease.owner + "'s lease ends" : "Your lease ends"}. What was left on the instance is cleaned away or goes with it, and what runs on it is ended.`,
    act: "Release",
    lost: true,
    run: async () => {
      await ask("DELETE", `/v1/leases/${encodeURIComponent(lease.id)}${theirs(lease)}`);
      return `${lease.instance} was released.`;
    },
  };
}

export function discard(i: Instance) {
  question.value = {
    title: `Discard ${i.name}?`,
    text: `The instance is unmade, with all that is on it${i.lease ? `, and ${others(i.lease) ? i.lease.owner + "'s" : "your"} lease on it ends` : ""}.`,
    act: "Discard",
    lost: true,
    run: async () => {
      await ask("POST", `/v1/release${query({ any: others(i.lease) || (!i.lease && self.value?.admin) })}`, { body: { names: [i.name], discard: true, force: true } });
      return `${i.name} is being discarded.`;
    },
  };
}

export function hold(i: Instance) {
  question.value = {
    title: `Hold ${i.name}?`,
    text: `It is kept aside for a person to look at, until it is discarded${i.lease ? `, and ${others(i.lease) ? i.lease.owner + "'s" : "your"} lease on it ends` : ""}. It takes no place under the maximum.`,
    act: "Hold",
    lost: !!i.lease,
    field: { label: "Why", value: "", hint: "For people to read" },
    run: async (reason) => {
      await ask("POST", `/v1/hold${query({ any: others(i.lease) || (!i.lease && self.value?.admin) })}`, { body: { names: [i.name], ...(reason && { reason }) } });
      return `${i.name} is held.`;
    },
  };
}

export function extend(lease: Lease) {
  question.value = {
    title: `Extend the lease on ${lease.instance}`,
    text: lease.ttl ? "It begins anew, from now." : "It has no end of its own; it counts as used now.",
    act: "Extend",
    field: { label: "Hours", number: true, value: lease.ttl ? String(Number((lease.ttl / 3600).toFixed(2))) : "", hint: "Left empty: for as long as it had" },
    run: async (hours) => {
      const ttl = Number(hours) * 3600;
      if (hours && !(ttl >= 0)) throw new Refusal(400, `${hours} is no number of hours.`);
      await ask("POST", `/v1/leases/${encodeURIComponent(lease.id)}/extend${theirs(lease)}`, { body: hours ? { ttl } : {} });
      return `The lease on ${lease.instance} was extended.`;
    },
  };
}

export function cancel(id: number, whose: string) {
  question.value = {
    title: "Cancel this request?",
    text: `${whose}'s request leaves the queue, and is told so.`,
    act: "Cancel the request",
    lost: true,
    run: async () => {
      await ask("DELETE", `/v1/queue/${id}${query({ any: whose !== self.value?.name })}`);
      return "The request was cancelled.";
    },
  };
}

/** mayAct reports whether the user may do something to a lease; the controller decides. */
export const mayAct = (lease?: Lease) => !!self.value && !lease?.pool && (self.value.admin || (!!lease && lease.owner === self.value.name));

export function Act(props: { on: () => void; of: string; children: ComponentChildren }) {
  return (
    <button type="button" onClick={props.on} aria-label={`${String(props.children)} ${props.of}`}>
      {props.children}
    </button>
  );
}
