// The sources, and how they stand.
import { signal } from "@preact/signals";
import { self } from "./ask";
import { useAsked } from "./live";
import { Table, View } from "./parts";
import type { Plans, Source } from "./types";
import { until } from "./words";

export function Sources() {
  const asked = useAsked<{ sources: Source[] | null }>("/v1/sources");
  const plans = useAsked<Plans>("/v1/plan?limit=0").data?.plans || [];
  const cold = new Map(plans.map((p) => [p.source, p.cold]));
  const all = asked.data?.sources || [];
  return (
    <View title="Sources" asked={asked}>
      {all.length === 0 ? (
        <p>
          No source is configured. <code>sources/NAME/source.conf</code> makes one.
        </p>
      ) : (
        <Table
          label="Sources"
          columns={[
            "Source", ["Ready", "n"], ["In use", "n"], ["Wanted", "n"], ["Maximum", "n wide"], ["Cold", "n wide"], ["Held", "n wide"], ["Waiting", "n"],
            [<span class="unseen">Share of states</span>, "bar wide"], "",
          ]}
        >
          {all.map((s) => (
            <Row key={s.name + s.orphaned} s={s} cold={(!s.orphaned && cold.get(s.name)) || 0} />
          ))}
        </Table>
      )}
      {asking.value && <asking.value />}
    </View>
  );
}

/** asking is what asks before something is done. It comes when it is wanted, so that the first view is small. */
const asking = signal<(() => preact.JSX.Element | null) | undefined>(undefined);

async function take(source: string) {
  const acts = await import("./acts");
  asking.value = acts.Asking;
  acts.take(source);
}

const sources = (name: string) => "/instances?source=" + encodeURIComponent(name);

function Row({ s, cold }: { s: Source; cold: number }) {
  const making = s.states.creating + s.states.setting_up + s.states.cleaning;
  const notes: [string, string][] = [];
  if (s.error) notes.push(["bad", "Cannot be used: " + s.error]);
  if (s.orphaned) notes.push(["warn", "Not configured any more, or otherwise than when these were made."]);
  if (s.paused_until) notes.push(["bad", `Paused after ${s.failures} failures, tried again ${until(s.paused_until)}: ${s.last_error || ""}`]);
  else if (s.failures > 0) notes.push(["warn", `${s.failures === 1 ? "The last creation" : `The last ${s.failures} creations`} failed: ${s.last_error || ""}`]);
  if (s.states.failed > 0) notes.push(["warn", `${s.states.failed} failed`]);
  return (
    <>
      <tr class={notes.length ? "noted" : ""}>
        <th scope="row">
          <a href={sources(s.name)}>{s.name}</a> <span class="muted">{s.type}</span>
        </th>
        <td class="n">
          {s.states.ready - cold}
          {making > 0 && <span class="muted"> +{making}</span>}
        </td>
        <td class="n">{s.in_use}</td>
        <td class="n">{s.wanted}</td>
        <td class="n wide">{s.max || <span class="muted">none</span>}</td>
        <td class="n wide">{cold}</td>
        <td class="n wide">{s.states.held}</td>
        <td class="n">{s.waiting > 0 ? <a href="/leases">{s.waiting}</a> : 0}</td>
        <td class="bar wide">
          <Bar s={s} />
        </td>
        <td class="acts">
          {self.value?.permissions?.includes("take") && !s.orphaned && !s.error && (
            <button type="button" aria-label={"Take " + s.name} onClick={() => take(s.name)}>
              Take
            </button>
          )}
        </td>
      </tr>
      {notes.length > 0 && (
        <tr class="notes">
          <td colSpan={10}>
            {notes.map(([how, text]) => (
              <p class={how}>{text}</p>
            ))}
          </td>
        </tr>
      )}
    </>
  );
}

/** Bar shows the states of a source's instances as lengths; the numbers beside say the same. */
function Bar({ s }: { s: Source }) {
  const parts: [string, number][] = [
    ["leased", s.states.leased],
    ["ready", s.states.ready],
    ["making", s.states.creating + s.states.setting_up + s.states.cleaning],
    ["failed", s.states.failed + s.states.discarding],
    ["held", s.states.held],
  ];
  const sum = Math.max(1, s.max, ...[parts.reduce((n, [, k]) => n + k, 0)]);
  let at = 0;
  return (
    <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" class="states">
      <rect class="none" width="100" height="8" />
      {parts.map(([name, n]) => {
        const x = at;
        at += (n / sum) * 100;
        return n > 0 && <rect class={name} x={x} width={(n / sum) * 100} height="8" />;
      })}
    </svg>
  );
}

