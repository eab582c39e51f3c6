// Asking for an instance tree, or for another one to be otherwise.
import { useLocation } from "preact-iso/router";
import { useState } from "preact/hooks";
import { ask, query, Refusal } from "./ask";
import { useAsked } from "./live";
import { say } from "./said";
import { instancePath, SlapView } from "./slap";
import { Parameters } from "./slapform";
import type { Values } from "./slapform";
import type { SlapInstanceDetail, SlapSoftware } from "./types";

export function Request() {
  const id = useLocation().query.change || "";
  const asked = useAsked<SlapInstanceDetail>(id ? "/v1/slap/instances/" + encodeURIComponent(id) : undefined);
  if (!id) return <Form key="" />;
  if (!asked.data) return <SlapView title="Change" asked={asked} />;
  return <Form key={id} was={asked.data} />;
}

const filters: [string, string][] = [
  ["computer_guid", "Computer"],
  ["network_guid", "Network"],
  ["project_guid", "Project"],
  ["instance_guid", "Instance that serves it"],
];

/** Form is filled in once: what comes later of the one that is changed does not overwrite it. */
function Form(props: { was?: SlapInstanceDetail }) {
  const [was] = useState(props.was);
  const { route } = useLocation();
  const [title, setTitle] = useState(was?.title || "");
  const [release, setRelease] = useState(was?.release || "");
  const [of, setOf] = useState(was?.release || ""); // the release of which it is known what it says of itself
  const [variant, setVariant] = useState(was?.type || "");
  const [shared, setShared] = useState(was?.shared || false);
  const [state, setState] = useState(was?.asked === "stopped" ? "stopped" : "started");
  const [filter, setFilter] = useState<Record<string, string>>(was?.filter || {});
  const [values, setValues] = useState<Values>(was?.parameters || {});
  const [wrong, setWrong] = useState("");
  const [unchecked, setUnchecked] = useState(false);
  const [refused, setRefused] = useState("");
  const [busy, setBusy] = useState(false);
  const software = useAsked<SlapSoftware>(of ? "/v1/slap/software" + query({ release: of }) : undefined).data;
  const types = software?.types || [];
  const said = types.find((t) => t.type === (variant || "default") && t.shared === shared);
  const send = async (e: SubmitEvent) => {
    e.preventDefault();
    if (wrong) return setRefused(wrong);
    setBusy(true);
    setRefused("");
    const where = Object.fromEntries(Object.entries(filter).filter(([, v]) => v.trim()));
    const more = { parameters: values, filter: where, ...(unchecked && { unchecked }), ...(variant && { type: variant }) };
    try {
      const i = was
        ? await ask<SlapInstanceDetail>("POST", "/v1/slap/instances/" + encodeURIComponent(was.instance), { body: { ...more, release: release.trim(), state } })
        : await ask<SlapInstanceDetail>("POST", "/v1/slap/instances", { body: { ...more, title: title.trim(), release: release.trim(), state, ...(shared && { shared }) } });
      say(i.reason ? `${i.title} was asked for, and has no place yet: ${i.reason}` : was ? `${i.title} was changed.` : `${i.title} was asked for.`, !!i.reason);
      route(i.instance ? instancePath(i.instance) : "/slap");
    } catch (e) {
      setRefused((e as Refusal).message + ((e as Refusal).hint ? ` (${(e as Refusal).hint})` : ""));
    }
    setBusy(false);
  };
  return (
    <SlapView title={was ? "Change " + was.title : "Request an instance"} here={was ? undefined : "/slap/request"}>
      <form class="request" onSubmit={send}>
        {!was && (
          <label class="long">
            Title
            <input type="text" value={title} onInput={(e) => setTitle(e.currentTarget.value)} maxLength={200} required />
            <small>Your own name for it. One that you have of this title becomes as you ask here.</small>
          </label>
        )}
        <label class="long">
          Software release
          <input type="text" value={release} onInput={(e) => setRelease(e.currentTarget.value)} onChange={(e) => setOf(e.currentTarget.value.trim())} placeholder="https://…/software.cfg" maxLength={2000} required />
          {software && <small>{software.unknown ? `Its parameters are not known: ${software.unknown}.` : [software.name, software.description].filter(Boolean).join(": ")}</small>}
        </label>
        <label>
          Type
          {types.length > 0 ? (
            <select value={variant || "default"} onChange={(e) => setVariant(e.currentTarget.value)}>
              {[...new Set([variant || "default", ...types.filter((t) => t.shared === shared).map((t) => t.type)])].map((t) => (
                <option value={t}>{types.find((x) => x.type === t && x.shared === shared)?.title || t}</option>
              ))}
            </select>
          ) : (
            <input type="text" value={variant} onInput={(e) => setVariant(e.currentTarget.value)} placeholder="default" maxLength={200} />
          )}
        </label>
        {!shared && (
          <label>
            State
            <select value={state} onChange={(e) => setState(e.currentTarget.value)}>
              <option value="started">started</option>
              <option value="stopped">stopped</option>
            </select>
          </label>
        )}
        {!was && (
          <label class="check">
            <input type="checkbox" checked={shared} onChange={(e) => setShared(e.currentTarget.checked)} /> Shared: another instance serves it
          </label>
        )}
        {said?.description && <p class="muted">{said.description}</p>}
        {said?.problem && <p class="warn">Its schema cannot be had, so the parameters are not checked: {said.problem}</p>}
        <Parameters
          key={of + "\n" + variant + "\n" + shared + "\n" + !!said?.schema}
          schema={said?.schema}
          values={values}
          on={(v, why) => {
            setWrong(why);
            if (v) setValues(v);
          }}
        />
        <fieldset>
          <legend>Where it may be</legend>
          <p class="muted">What is empty does not matter.</p>
          {filters
            .filter(([name]) => shared || name !== "instance_guid" || filter[name])
            .map(([name, label]) => (
              <label key={name}>
                {label}
                <input type="text" value={filter[name] || ""} onInput={(e) => setFilter({ ...filter, [name]: e.currentTarget.value })} maxLength={200} />
              </label>
            ))}
        </fieldset>
        {said?.schema && (
          <label class="check">
            <input type="checkbox" checked={unchecked} onChange={(e) => setUnchecked(e.currentTarget.checked)} /> Take the parameters though the schema does not
          </label>
        )}
        <p role="alert" class={refused ? "problem" : "unseen"}>
          {refused}
        </p>
        <div class="buttons">
          <button type="submit" class="main" disabled={busy}>
            {busy ? "Asking …" : was ? "Change" : "Request"}
          </button>
        </div>
      </form>
    </SlapView>
  );
}
