// The instance trees and the computers of the SlapOS master, a page at a time.
import { useLocation } from "preact-iso/router";
import { useEffect, useState } from "preact/hooks";
import { query } from "./ask";
import { useAsked } from "./live";
import { Pages, usePages } from "./pages";
import { At, type Column, Table } from "./parts";
import { computerPath, instancePath, Message, Place, Reported, SlapView, Software, Wanted } from "./slap";
import type { SlapComputer, SlapInstance } from "./types";

const page = 50;
const states = ["started", "stopped", "destroyed", "unplaced"];

/** Find is a field for a text that is searched for when it has been typed. */
function Find(props: { label: string; hint: string; value: string; on: (text: string) => void }) {
  const [text, set] = useState(props.value);
  useEffect(() => set(props.value), [props.value]);
  useEffect(() => {
    if (text.trim() === props.value) return;
    const t = setTimeout(() => props.on(text.trim()), 300);
    return () => clearTimeout(t);
  }, [text]);
  return (
    <label>
      {props.label}
      <input type="search" value={text} onInput={(e) => set(e.currentTarget.value)} placeholder={props.hint} maxLength={200} />
    </label>
  );
}

export function Trees() {
  const { query: asking, route } = useLocation();
  const match = asking.match || "";
  const state = asking.state || "";
  const list = "/v1/slap/instances" + query({ roots: true, match, state, limit: page });
  const at = usePages(list);
  const asked = useAsked<{ instances: SlapInstance[]; next?: string }>(list + (at.after ? "&after=" + encodeURIComponent(at.after) : ""));
  const go = (match: string, state: string) => route("/slap" + query({ match, state }), true);
  const all = asked.data?.instances || [];
  return (
    <SlapView title="Instance trees" here="/slap" asked={asked}>
      <div class="filters">
        <label>
          State
          <select value={state} onChange={(e) => go(match, e.currentTarget.value)}>
            <option value="">all</option>
            {states.map((s) => (
              <option value={s}>{s === "unplaced" ? "without a place" : s}</option>
            ))}
          </select>
        </label>
        <Find label="Only with" hint="title, software or owner" value={match} on={(text) => go(text, state)} />
      </div>
      {asked.data && all.length === 0 ? <p class="muted">There is no instance tree{match || state ? " of these" : " yet"}.</p> : <Instances all={all} label="Instance trees" trees />}
      <Pages before={at.before} next={asked.data?.next} shown={all.length} what="trees" on={(to) => at.on(to, asked.data?.next)} />
    </SlapView>
  );
}

const ofTrees: Column[] = [["Instances", "n wide"], ["Owner", "wide"]];

/** Instances is a table of instances. */
export function Instances(props: { all: SlapInstance[]; label: string; trees?: boolean }) {
  return (
    <Table
      label={props.label}
      columns={["Title", "Wanted", "Reported", ["Software", "wide"], ["Type", "wide"], ["Where", "wide"], ...(props.trees ? ofTrees : [])]}
    >
      {props.all.map((i) => (
        <Row key={i.instance} i={i} trees={props.trees} />
      ))}
    </Table>
  );
}

function Row({ i, trees }: { i: SlapInstance; trees?: boolean }) {
  const notes = !!i.reason || !!i.status?.message || (!!i.unplaced && !i.reason);
  return (
    <>
      <tr class={notes ? "noted" : ""}>
        <th scope="row">
          <a href={instancePath(i.instance)}>{i.title}</a>
          {i.shared && <span class="muted"> shared</span>}
        </th>
        <td>
          <Wanted i={i} />
        </td>
        <td>
          <Reported s={i.status} />
        </td>
        <td class="wide">
          <Software url={i.release} />
        </td>
        <td class="wide">{i.type}</td>
        <td class="wide">
          <Place i={i} />
        </td>
        {trees && (
          <>
            <td class="n wide">{i.members}</td>
            <td class="wide">{i.owner}</td>
          </>
        )}
      </tr>
      {notes && (
        <tr class="notes">
          <td colSpan={8}>
            {i.reason && <p class="bad">No place: {i.reason}</p>}
            {!i.reason && !!i.unplaced && <p class="warn">{i.unplaced} of its instances {i.unplaced === 1 ? "has" : "have"} no place</p>}
            <Message s={i.status} />
          </td>
        </tr>
      )}
    </>
  );
}

export function Computers() {
  const { query: asking, route } = useLocation();
  const match = asking.match || "";
  const list = "/v1/slap/computers" + query({ match, limit: page });
  const at = usePages(list);
  const asked = useAsked<{ computers: SlapComputer[]; next?: string }>(list + (at.after ? "&after=" + encodeURIComponent(at.after) : ""));
  const all = asked.data?.computers || [];
  return (
    <SlapView title="Computers" here="/slap/computers" asked={asked}>
      <div class="filters">
        <Find label="Only with" hint="reference or title" value={match} on={(text) => route("/slap/computers" + query({ match: text }), true)} />
      </div>
      {asked.data && all.length === 0 ? (
        <p class="muted">There is no computer{match ? " of these" : " yet: the first format of a node makes one"}.</p>
      ) : (
        <Table
          label="Computers"
          columns={["Computer", "Node", ["In use", "n"], ["Partitions", "n"], ["Releases", "n wide"], ["Project", "wide"], ["Owner", "wide"]]}
        >
          {all.map((c) => (
            <tr key={c.computer}>
              <th scope="row">
                <a href={computerPath(c.computer)}>{c.computer}</a> {c.title && <span class="muted">{c.title}</span>}
              </th>
              <td>{c.status ? <>seen <At time={c.status.at} /></> : <span class="muted">never seen</span>}</td>
              <td class="n">{c.busy}</td>
              <td class="n">{c.partitions}</td>
              <td class="n wide">{c.releases}</td>
              <td class="wide">{c.project}</td>
              <td class="wide">{c.owner}</td>
            </tr>
          ))}
        </Table>
      )}
      <Pages before={at.before} next={asked.data?.next} shown={all.length} what="computers" on={(to) => at.on(to, asked.data?.next)} />
    </SlapView>
  );
}
