// One instance of the SlapOS master: what it was asked for with, what it tells, and its tree.
import { useRoute } from "preact-iso/router";
import { useEffect, useState } from "preact/hooks";
import { Act, Asking, asks } from "./acts";
import { ask, get, query, Refusal } from "./ask";
import { useAsked } from "./live";
import { Pages, usePages } from "./pages";
import { At, Fact, Table } from "./parts";
import { say } from "./said";
import { instancePath, mayAct, Message, Place, Reported, SlapView, Wanted } from "./slap";
import { Instances } from "./slaplists";
import { Used } from "./slapusage";
import type { SlapConnection, SlapInstance, SlapInstanceDetail } from "./types";

const at = (id: string) => "/v1/slap/instances/" + encodeURIComponent(id);

function turn(i: SlapInstance, state: "started" | "stopped" | "destroyed") {
  const others = (i.members || 1) - 1;
  const all = others > 0 ? ` and the ${others === 1 ? "other instance" : others + " other instances"} of its tree` : "";
  const does = { started: "Start", stopped: "Stop", destroyed: "Destroy" }[state];
  asks({
    title: `${does} ${i.title}?`,
    text: {
      started: `${i.title}${all} run again, as far as they were asked to.`,
      stopped: `${i.title}${all} no longer run. What they have stays.`,
      destroyed: `${i.title}${all} end, and all that they have is wiped from their partitions.`,
    }[state],
    act: does,
    lost: state !== "started",
    run: async () => {
      await ask("POST", at(i.instance), { body: { state } });
      return `${i.title} is wanted ${state}.`;
    },
  });
}

export function One() {
  const id = useRoute().params.id || "";
  const asked = useAsked<SlapInstanceDetail>(at(id));
  const i = asked.data;
  const root = i && i.root === i.instance;
  const may = root && mayAct();
  return (
    <SlapView
      title={i ? i.title : "Instance"}
      asked={asked}
      actions={
        may && (
          <>
            {i.state !== "started" && i.state !== "destroyed" && (
              <Act on={() => turn(i, "started")} of={i.title}>
                Start
              </Act>
            )}
            {i.state === "started" && !i.shared && (
              <Act on={() => turn(i, "stopped")} of={i.title}>
                Stop
              </Act>
            )}
            {i.state !== "destroyed" && (
              <Act on={() => turn(i, "destroyed")} of={i.title}>
                Destroy
              </Act>
            )}
          </>
        )
      }
    >
      {i && (
        <>
          {i.reason && (
            <p class="problem" role="status">
              It has no place: {i.reason}
            </p>
          )}
          <Message s={i.status} />
          <dl class="facts">
            <Fact name="Wanted">
              <Wanted i={i} />
              {i.asked !== i.state && <span class="muted"> asked for: {i.asked}</span>}
            </Fact>
            <Fact name="Reported by the node">
              <Reported s={i.status} />
            </Fact>
            {i.computer && (
              <Fact name="Where">
                <Place i={i} />
              </Fact>
            )}
            {i.host && (
              <Fact name="Served by">
                <a href={instancePath(i.host)}>{i.host_title || i.host}</a>
              </Fact>
            )}
            <Fact name="Software">{i.release}</Fact>
            <Fact name="Type">
              {i.type}
              {i.shared && <span class="muted"> shared</span>}
            </Fact>
            {!root && (
              <Fact name="Tree">
                <a href={instancePath(i.root)}>{i.root_title}</a>
              </Fact>
            )}
            {i.parent && (
              <Fact name="Asked for by">
                <a href={instancePath(i.parent)}>{i.parent_title || i.parent}</a>
              </Fact>
            )}
            {i.owner && <Fact name="Owner">{i.owner}</Fact>}
            {i.project && <Fact name="Project">{i.project}</Fact>}
            {i.addresses.length > 0 && <Fact name="Addresses">{i.addresses.join(", ")}</Fact>}
            <Fact name="Created">
              <At time={i.created} />
            </Fact>
            {i.changed && (
              <Fact name="Changed">
                <At time={i.changed} />
              </Fact>
            )}
            {Object.entries(i.filter).map(([k, v]) => (
              <Fact name={k}>{v}</Fact>
            ))}
          </dl>
          <h2>Parameters</h2>
          <Values values={i.parameters} label="Parameters" none="It has none." />
          {may && i.state !== "destroyed" && (
            <p>
              <a class="button" href={"/slap/request?change=" + encodeURIComponent(i.instance)}>
                Change
              </a>
            </p>
          )}
          <Connection key={i.instance} i={i} />
          <Members i={i} />
          <Used i={i} />
        </>
      )}
      <Asking />
    </SlapView>
  );
}

/** Values are values by name, as they are told. */
function Values(props: { values: Record<string, unknown>; label: string; none: string }) {
  const all = Object.entries(props.values);
  if (all.length === 0) return <p class="muted">{props.none}</p>;
  return (
    <Table
      label={props.label}
      class="words"
      columns={["Name", "Value"]}
    >
      {all.map(([name, v]) => (
        <tr key={name}>
          <th scope="row">{name}</th>
          <td class="value">{typeof v === "string" ? v : JSON.stringify(v, null, 1)}</td>
        </tr>
      ))}
    </Table>
  );
}

/** Connection are what the instance tells: the names, and the values for who asks for them. They are forgotten when they are otherwise, or not looked at any more. */
function Connection({ i }: { i: SlapInstanceDetail }) {
  const [values, set] = useState<SlapConnection["values"] | undefined>(undefined);
  const names = i.connection.join("\n");
  useEffect(() => set(undefined), [names]);
  const show = async () => {
    try {
      set((await get<SlapConnection>(at(i.instance) + "/connection")).values);
    } catch (e) {
      say((e as Refusal).message, true);
    }
  };
  return (
    <>
      <h2>Connection</h2>
      {i.connection.length === 0 ? (
        <p class="muted">It has told nothing yet.</p>
      ) : (
        <>
          <Values values={values || Object.fromEntries(i.connection.map((name) => [name, "••••••"]))} label="Connection" none="" />
          {mayAct() && (
            <p>
              <button type="button" aria-pressed={!!values} onClick={() => (values ? set(undefined) : void show())}>
                {values ? "Hide values" : "Show values"}
              </button>
            </p>
          )}
        </>
      )}
    </>
  );
}

/** Members are the other instances of a root's tree, or the shared ones that an instance serves. */
function Members({ i }: { i: SlapInstanceDetail }) {
  const root = i.root === i.instance;
  return (
    <>
      {root && (i.members || 1) > 1 && <Some title="Its tree" of={{ root: i.instance }} />}
      {!i.shared && <Some title="Shared instances that it serves" of={{ host: i.instance }} quiet />}
    </>
  );
}

function Some(props: { title: string; of: Record<string, string>; quiet?: boolean }) {
  const list = "/v1/slap/instances" + query({ ...props.of, limit: 50 });
  const at = usePages(list);
  const asked = useAsked<{ instances: SlapInstance[]; next?: string }>(list + (at.after ? "&after=" + encodeURIComponent(at.after) : ""));
  const all = asked.data?.instances || [];
  if (props.quiet && all.length === 0 && !at.before) return null;
  return (
    <>
      <h2>{props.title}</h2>
      <Instances all={all} label={props.title} />
      <Pages before={at.before} next={asked.data?.next} shown={all.length} what="instances" on={(to) => at.on(to, asked.data?.next)} />
    </>
  );
}
