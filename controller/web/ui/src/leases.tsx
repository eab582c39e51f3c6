// The leases that live, and who waits for one.
import { Act, Asking, cancel, extend, mayAct, release } from "./acts";
import { query, self } from "./ask";
import { useAsked } from "./live";
import { Pages, usePages } from "./pages";
import { At, Instance, Table, View } from "./parts";
import type { Lease, Waiter } from "./types";
import { span, until } from "./words";
import { useLocation } from "preact-iso/router";

export function Leases() {
  const { query: asking, route } = useLocation();
  const mine = asking.whose === "mine";
  const list = "/v1/leases" + query({ limit: 50, owner: mine ? self.value?.name : "" });
  const at = usePages(list);
  const asked = useAsked<{ leases: Lease[] | null; next?: string }>(list + (at.after ? "&after=" + encodeURIComponent(at.after) : ""));
  const queue = useAsked<{ queue: Waiter[] | null }>("/v1/queue");
  const all = asked.data?.leases || [];
  const waiters = queue.data?.queue || [];
  return (
    <View title="Leases" asked={asked}>
      <h2>Queue</h2>
      {waiters.length === 0 ? (
        <p class="muted">{queue.problem && queue.problem.status !== 0 ? "The controller does not tell the queue: " + queue.problem.message : "Nobody waits."}</p>
      ) : (
        <Table
          label="Queue"
          class="stacks"
          columns={[["Place", "n"], "Source", "Owner", ["Asks for", "n wide"], ["Since", "wide"], "Estimate", ""]}
        >
          {waiters.map((w) => (
            <tr key={w.id}>
              <td class="n">{w.position}</td>
              <th scope="row">{w.source}</th>
              <td>
                {w.owner}
                {w.priority !== 0 && <span class="muted"> priority {w.priority}</span>}
              </td>
              <td class="n wide">{w.count}</td>
              <td class="wide">
                <At time={w.since} />
              </td>
              <td>
                {w.estimate ? "about " + span(w.estimate) : <span class="muted">unknown yet</span>}
                {w.reason && <p class="muted">{w.reason}</p>}
              </td>
              <td class="acts">
                {(self.value?.admin || w.owner === self.value?.name) && (
                  <Act on={() => cancel(w.id, w.owner)} of={`the request of ${w.owner} for ${w.source}`}>
                    Cancel
                  </Act>
                )}
              </td>
            </tr>
          ))}
        </Table>
      )}
      <h2>In use</h2>
      <div class="filters">
        <label>
          Whose
          <select value={mine ? "mine" : ""} onChange={(e) => route("/leases" + query({ whose: e.currentTarget.value }), true)}>
            <option value="">everybody's</option>
            <option value="mine">mine</option>
          </select>
        </label>
      </div>
      {all.length === 0 ? (
        <p class="muted">{mine ? "You have no lease." : "Nobody has a lease."}</p>
      ) : (
        <Table
          label="Leases"
          class="stacks"
          columns={["Instance", "Owner", ["Purpose", "wide"], ["Given", "wide"], ["Used", "wide"], "Ends", ""]}
        >
          {all.map((l) => (
            <tr key={l.id}>
              <th scope="row">
                <Instance name={l.instance} />
                {l.name && <span class="muted"> {l.name}</span>}
              </th>
              <td>{l.pool ? <Instance name={l.pool} /> : l.owner}</td>
              <td class="wide">{l.purpose}</td>
              <td class="wide">
                <At time={l.given} />
              </td>
              <td class="wide">
                <At time={l.used} />
              </td>
              <td>{l.deadline ? until(l.deadline) : "never"}</td>
              <td class="acts">
                {mayAct(l) && (
                  <>
                    <Act on={() => extend(l)} of={l.instance}>
                      Extend
                    </Act>
                    <Act on={() => release(l)} of={l.instance}>
                      Release
                    </Act>
                  </>
                )}
              </td>
            </tr>
          ))}
        </Table>
      )}
      <Asking />
      <Pages before={at.before} next={asked.data?.next} shown={all.length} what="leases" on={(to) => at.on(to, asked.data?.next)} />
    </View>
  );
}
