// One instance, with its timeline.
import { useRoute } from "preact-iso/router";
import { Act, Asking, discard, extend, hold, mayAct, release } from "./acts";
import { query } from "./ask";
import { useAsked } from "./live";
import { At, Fact, Instance as Link, Journal, path, State, View } from "./parts";
import type { Event, Instance } from "./types";
import { span, until } from "./words";

export function One() {
  const name = useRoute().params.name || "";
  const asked = useAsked<Instance>("/v1/instances/" + encodeURIComponent(name));
  const journal = useAsked<{ events: Event[] | null }>("/v1/events" + query({ instance: name, limit: 200 })).data?.events || [];
  const i = asked.data;
  const gone = asked.problem?.status === 404 && journal.length > 0;
  const lease = i?.lease;
  const may = mayAct(lease);
  return (
    <View
      title={name}
      asked={gone ? undefined : asked}
      actions={
        i && (
          <div class="actions">
            {lease && may && (
              <a class="button main" href={path(i.name) + "/terminal"}>
                Terminal
              </a>
            )}
            {lease && may && (
              <Act on={() => extend(lease)} of={i.name}>
                Extend
              </Act>
            )}
            {lease && may && (
              <Act on={() => release(lease)} of={i.name}>
                Release
              </Act>
            )}
            {may && ["ready", "leased", "failed"].includes(i.state) && (
              <Act on={() => hold(i)} of={i.name}>
                Hold
              </Act>
            )}
            {may && i.state !== "discarding" && (
              <Act on={() => discard(i)} of={i.name}>
                Discard
              </Act>
            )}
          </div>
        )
      }
    >
      {gone && <p class="muted">This instance is gone. What happened to it:</p>}
      {i && (
        <>
          <dl class="facts">
            <Fact name="State">
              <State is={i.state} /> <At time={i.since} />
            </Fact>
            <Fact name="Source">
              <a href={"/instances?source=" + encodeURIComponent(i.source)}>{i.source}</a>
            </Fact>
            {i.reason && <Fact name="Why">{i.reason}</Fact>}
            {i.address && <Fact name="Address">{i.address}</Fact>}
            {i.behind && (
              <Fact name="Behind it">
                <Link name={i.behind} />
              </Fact>
            )}
            {lease && (
              <>
                <Fact name="In use by">
                  {lease.pool ? <Link name={lease.pool} /> : lease.owner}
                  {lease.purpose && <span class="muted"> {lease.purpose}</span>}
                </Fact>
                <Fact name="Lease">
                  {lease.name || lease.id}, given <At time={lease.given} />, used <At time={lease.used} />
                </Fact>
                <Fact name="Ends">{lease.deadline ? until(lease.deadline) + ", unless it is used or extended" : "when it is released"}</Fact>
              </>
            )}
            <Fact name="Handed out">{i.uses === 1 ? "once" : i.uses + " times"}</Fact>
            {Object.entries(i.facts || {}).map(([k, v]) => (
              <Fact name={k}>{v}</Fact>
            ))}
          </dl>
          <h2>How it was made</h2>
          <Timeline i={i} />
        </>
      )}
      <Asking />
      <h2>What happened</h2>
      <Journal events={[...journal].reverse()} of={name} label={"Events of " + name} />
    </View>
  );
}

/** Timeline shows the phases of a cold start one after the other, as long as they took. */
function Timeline({ i }: { i: Instance }) {
  const phases: [string, string, number][] = [
    ["wait", "Waited in the queue", i.phases.wait],
    ["create", "Created", i.phases.create],
    ["connect", "Booted, until it answered", i.phases.connect],
    ["setup", "Set up", i.phases.set_up],
  ];
  const sum = phases.reduce((n, [, , s]) => n + s, 0);
  if (!sum) return <p class="muted">{["creating", "setting-up"].includes(i.state) ? "It is being made." : "It stood there anyway: nothing had to be made."}</p>;
  let at = 0;
  return (
    <ol class="timeline">
      {phases.map(([kind, title, s]) => {
        const x = (at / sum) * 100;
        at += s;
        return (
          <li>
            <span class="phase">{title}</span>
            <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
              <rect class="none" width="100" height="8" />
              {s > 0 && <rect class={kind} x={Math.min(x, 99.4)} width={Math.max(0.6, (s / sum) * 100)} height="8" />}
            </svg>
            <span class="n">{span(s)}</span>
          </li>
        );
      })}
      <li>
        <span class="phase">Together</span>
        <span />
        <span class="n">{span(sum)}</span>
      </li>
    </ol>
  );
}
