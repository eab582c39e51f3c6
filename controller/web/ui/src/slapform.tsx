// A form of parameters: fields by the schema that the software has, as far as it is of plain properties, and JSON for the rest.
import { useState } from "preact/hooks";

export type Values = Record<string, unknown>;
type Schema = Record<string, unknown>;

const isObject = (v: unknown): v is Schema => typeof v === "object" && v !== null && !Array.isArray(v);

/** propertiesOf are the properties that a schema names; {}: it is of another kind, and is filled in as JSON. */
function propertiesOf(schema: Schema | undefined): Record<string, Schema> {
  const out: Record<string, Schema> = {};
  if (isObject(schema?.properties)) for (const [name, p] of Object.entries(schema.properties)) if (name !== "$schema") out[name] = isObject(p) ? p : {};
  return out;
}

/** kindOf is how a property is filled in. */
function kindOf(p: Schema): "choice" | "text" | "secret" | "number" | "json" {
  if (Array.isArray(p.enum) || p.type === "boolean") return "choice";
  if (p.type === "string") return p.format === "password" ? "secret" : "text";
  if (p.type === "number" || p.type === "integer") return "number";
  return "json";
}

const choicesOf = (p: Schema): unknown[] => (Array.isArray(p.enum) ? p.enum : [true, false]);
const shown = (v: unknown) => (typeof v === "string" ? v : JSON.stringify(v));

/** read is a text that was filled in as a value; undefined: it is left out. An error says what is wrong. */
function read(p: Schema, text: string): unknown {
  if (text === "") return undefined;
  switch (kindOf(p)) {
    case "choice":
      return choicesOf(p).find((c) => shown(c) === text);
    case "number":
      return Number(text);
    case "json":
      return JSON.parse(text);
  }
  return text;
}

/** Parameters lets the user fill in parameters. on hears of the values, or of what is wrong with them. */
export function Parameters(props: { schema?: Schema; values: Values; on: (values: Values | undefined, wrong: string) => void }) {
  const fields = propertiesOf(props.schema);
  const named = Object.keys(fields);
  const [texts, setTexts] = useState<Record<string, string>>(() => Object.fromEntries(Object.entries(props.values).map(([k, v]) => [k, kindOf(fields[k] || {}) === "json" && fields[k] ? JSON.stringify(v, null, 1) : shown(v)])));
  const [json, setJSON] = useState(() => JSON.stringify(props.values, null, 2));
  const [asJSON, setAsJSON] = useState(named.length === 0);
  const [wrong, setWrong] = useState("");

  const tell = (values: Values | undefined, why: string) => {
    setWrong(why);
    props.on(values, why);
  };
  const fromTexts = (now: Record<string, string>) => {
    const values: Values = {};
    for (const [k, v] of Object.entries(props.values)) if (!fields[k]) values[k] = v; // the form has no field for these
    for (const name of named) {
      try {
        const v = read(fields[name]!, now[name] ?? "");
        if (v !== undefined) values[name] = v;
      } catch {
        return tell(undefined, `${name}: this is not JSON.`);
      }
    }
    setJSON(JSON.stringify(values, null, 2));
    tell(values, "");
  };
  const fromJSON = (text: string) => {
    setJSON(text);
    let values: unknown;
    try {
      values = text.trim() ? JSON.parse(text) : {};
    } catch (e) {
      return tell(undefined, (e as Error).message);
    }
    if (!isObject(values)) return tell(undefined, "Parameters are an object, with a name for each.");
    setTexts(Object.fromEntries(Object.entries(values).map(([k, v]) => [k, fields[k] && kindOf(fields[k]!) === "json" ? JSON.stringify(v, null, 1) : shown(v)])));
    tell(values, "");
  };
  const change = (name: string, text: string) => {
    const now = { ...texts, [name]: text };
    setTexts(now);
    fromTexts(now);
  };
  const required = Array.isArray(props.schema?.required) ? props.schema.required : [];
  return (
    <fieldset>
      <legend>Parameters</legend>
      {named.length > 0 && (
        <p>
          <button type="button" aria-pressed={asJSON} disabled={asJSON && !!wrong} onClick={() => setAsJSON(!asJSON)}>
            As JSON
          </button>
        </p>
      )}
      {asJSON ? (
        <label class="long">
          As a JSON object
          <textarea rows={8} value={json} spellcheck={false} onInput={(e) => fromJSON(e.currentTarget.value)} aria-invalid={!!wrong} />
        </label>
      ) : (
        named.map((name) => <Field key={name} name={name} p={fields[name]!} text={texts[name] ?? ""} required={required.includes(name)} on={(text) => change(name, text)} />)
      )}
      <p role="status" class={wrong ? "problem" : "unseen"}>
        {wrong}
      </p>
    </fieldset>
  );
}

function Field(props: { name: string; p: Schema; text: string; required: boolean; on: (text: string) => void }) {
  const { p, text } = props;
  const kind = kindOf(p);
  const otherwise = p.default === undefined ? "" : shown(p.default);
  const number = (v: unknown) => (typeof v === "number" ? v : undefined);
  const same = { value: text, required: props.required, onInput: (e: { currentTarget: { value: string } }) => props.on(e.currentTarget.value) };
  return (
    <label class="long">
      {typeof p.title === "string" && p.title ? `${p.title} (${props.name})` : props.name}
      {kind === "choice" ? (
        <select {...same}>
          <option value="">{otherwise ? `not said: ${otherwise}` : "not said"}</option>
          {choicesOf(p).map((c) => (
            <option value={shown(c)}>{shown(c)}</option>
          ))}
        </select>
      ) : kind === "json" ? (
        <textarea rows={3} {...same} placeholder={otherwise} spellcheck={false} />
      ) : kind === "number" ? (
        <input type="number" step={p.type === "integer" ? 1 : "any"} min={number(p.minimum)} max={number(p.maximum)} {...same} placeholder={otherwise} />
      ) : kind === "secret" ? (
        <input type="password" autocomplete="off" {...same} placeholder={otherwise} />
      ) : (
        <input type="text" autocomplete="off" {...same} placeholder={otherwise} minLength={number(p.minLength)} maxLength={number(p.maxLength)} />
      )}
      {typeof p.description === "string" && <small>{p.description}</small>}
    </label>
  );
}
