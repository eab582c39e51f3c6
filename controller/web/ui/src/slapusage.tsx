// What was reported of the use of a computer of the SlapOS master, or of one of its partitions.
import { useState } from "preact/hooks";
import { query } from "./ask";
import { useAsked } from "./live";
import { Trend } from "./trend";
import type { SlapInstance, SlapUsage } from "./types";

const path = (computer: string, of: string) => "/v1/slap/computers/" + encodeURIComponent(computer) + "/usage" + query({ of });

function Plots({ u }: { u: SlapUsage }) {
  return (
    <div class="plots">
      {u.series.map((s) => (
        <Trend key={s.resource} title={s.title || s.resource} points={s.points} />
      ))}
    </div>
  );
}

/** Usage is that of a computer, or of what one chooses of it. */
export function Usage({ name }: { name: string }) {
  const [of, set] = useState("");
  const u = useAsked<SlapUsage>(path(name, of)).data;
  if (!u) return null;
  return (
    <>
      <h2>Usage</h2>
      {u.known.length === 0 ? (
        <p class="muted">Nothing was reported yet.</p>
      ) : (
        <>
          <div class="filters">
            <label>
              Of
              <select value={u.of} onChange={(e) => set(e.currentTarget.value)}>
                {!u.known.includes(u.of) && <option value={u.of}>{u.of}</option>}
                {u.known.map((k) => (
                  <option value={k}>{k}</option>
                ))}
              </select>
            </label>
          </div>
          {u.series.length === 0 && <p class="muted">Of this nothing was reported.</p>}
          <Plots u={u} />
        </>
      )}
    </>
  );
}

/** Used is what was used in the partition of an instance since it came. */
export function Used({ i }: { i: SlapInstance }) {
  const u = useAsked<SlapUsage>(i.shared || !i.partition ? undefined : path(i.computer || "", i.partition)).data;
  if (!u || u.series.length === 0) return null;
  return (
    <>
      <h2>Usage</h2>
      <Plots u={u} />
    </>
  );
}
