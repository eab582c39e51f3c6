// The journal, as it is written.
import { useState } from "preact/hooks";
import { events, live, unheard } from "./live";
import { Journal, View } from "./parts";
import type { Event } from "./types";

const shown = 200;

export function Events() {
  const [only, setOnly] = useState("");
  const [held, setHeld] = useState<Event[] | undefined>(undefined);
  const word = only.trim().toLowerCase();
  const all = (held || events.value).filter((e) => !word || [e.kind, e.source, e.instance, e.owner, e.text].some((t) => t?.toLowerCase().includes(word)));
  return (
    <View
      title="Events"
      actions={
        <div class="actions">
          <button type="button" aria-pressed={!!held} onClick={() => setHeld(held ? undefined : events.value)}>
            {held ? "Go on" : "Pause"}
          </button>
        </div>
      }
    >
      <div class="filters">
        <label>
          Only with
          <input type="search" value={only} onInput={(e) => setOnly(e.currentTarget.value)} placeholder="a kind, source, instance, owner" />
        </label>
        <span class="muted">{held ? "paused" : live.value ? "live" : "not connected"}</span>
      </div>
      {all.length === 0 && <p class="muted">{unheard.value || `Nothing${word ? " of that" : ""} happened lately.`}</p>}
      <Journal events={all.slice(0, shown)} label="Events, the newest first" />
    </View>
  );
}
