// The instances, a page at a time.
import { useLocation } from "preact-iso/router";
import { useState } from "preact/hooks";
import { get, query } from "./ask";
import { useAsked } from "./live";
import { Pages, usePages } from "./pages";
import { At, Instance as Link, path, State, Table, View } from "./parts";
import type { Instance, Source } from "./types";
import { span } from "./words";

const states = ["creating", "setting-up", "ready", "leased", "cleaning", "failed", "discarding", "held"];
const page = 50;

export function Instances() {
  const { query: asking, route } = useLocation();
  const source = asking.source || "";
  const state = asking.state || "";
  const list = "/v1/instances" + query({ source, state, limit: page });
  const at = usePages(list);
  const asked = useAsked<{ instances: Instance[] | null; next?: string }>(list + (at.after ? "&after=" + encodeURIComponent(at.after) : ""));
  const sources = useAsked<{ sources: Source[] | null }>("/v1/sources").data?.sources || [];
  const [name, setName] = useState("");
  const [none, setNone] = useState("");
  const go = (source: string, state: string) => route("/instances" + query({ source, state }), true);
  const find = async (e: SubmitEvent) => {
    e.preventDefault();
    try {
      route(path((await get<Instance>("/v1/instances/" + encodeURIComponent(name.trim()))).name));
    } catch {
      setNone(name);
    }
  };
  const names = [...new Set(sources.map((s) => s.name))];
  const all = asked.data?.instances || [];
  return (
    <View title="Instances">
      <div class="filters">
        <label>
          Source
          <select value={source} onChange={(e) => go(e.currentTarget.value, state)}>
            <option value="">all</option>
            {source && !names.includes(source) && <option value={source}>{source}</option>}
            {names.map((n) => (
              <option value={n}>{n}</option>
            ))}
          </select>
        </label>
        <label>
          State
          <select value={state} onChange={(e) => go(source, e.currentTarget.value)}>
            <option value="">all</option>
            {states.map((s) => (
              <option value={s}>{s}</option>
            ))}
          </select>
        </label>
        <form onSubmit={find} role="search">
          <label>
            Name
            <input type="search" value={name} onInput={(e) => setName(e.currentTarget.value)} placeholder="instance or lease" required />
          </label>
          <button type="submit">Go to</button>
        </form>
      </div>
      <p role="status" class={none ? "problem" : "unseen"}>
        {none && `There is no instance and no lease called ${none}.`}
      </p>
      {asked.problem && asked.problem.status !== 401 && asked.problem.status !== 0 && <p class="problem">{asked.problem.message}</p>}
      {asked.data && all.length === 0 ? (
        <p class="muted">There is none{source || state ? " of these" : ""}.</p>
      ) : (
        <Table
          label="Instances"
          columns={["Instance", "State", "Since", ["Source", "wide"], ["Owner", "wide"], ["Uses", "n wide"], ["Made in", "n wide"]]}
        >
          {all.map((i) => (
            <tr key={i.name}>
              <th scope="row">
                <Link name={i.name} />
              </th>
              <td>
                <State is={i.state} />
              </td>
              <td>
                <At time={i.since} />
              </td>
              <td class="wide">{i.source}</td>
              <td class="wide">{i.lease?.owner}</td>
              <td class="n wide">{i.uses}</td>
              <td class="n wide">{span(i.phases.create + i.phases.connect + i.phases.set_up)}</td>
            </tr>
          ))}
        </Table>
      )}
      <Pages before={at.before} next={asked.data?.next} shown={all.length} what="instances" on={(to) => at.on(to, asked.data?.next)} />
    </View>
  );
}
