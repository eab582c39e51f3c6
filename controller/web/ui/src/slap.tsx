// What the views of the SlapOS master have in common: the stream that tells that something has changed, and how states and software are shown.
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { self } from "./ask";
import { ring } from "./live";
import { At, View } from "./parts";
import type { Asked } from "./live";
import type { SlapInstance, SlapStatus } from "./types";

/** mayAct says whether the user may ask for anything, beyond looking. */
export const mayAct = () => !!self.value?.permissions?.includes("use");

let watchers = 0;
let stream: EventSource | undefined;
let again: ReturnType<typeof setTimeout> | undefined;
let pause = 500;

function shut() {
  stream?.close();
  stream = undefined;
  clearTimeout(again);
}

/** follow listens while somebody looks. A window that is not seen takes none of the connections that a browser has for a controller. */
function follow() {
  shut();
  if (!watchers || document.hidden) return;
  stream = new EventSource("/v1/slap/watch");
  stream.onmessage = () => {
    pause = 500;
    ring();
  };
  stream.onerror = () => {
    shut();
    again = setTimeout(follow, pause);
    pause = Math.min(pause * 2, 10_000);
  };
}

/** useChanges has what is shown asked for anew when anything of the master has changed. */
function useChanges() {
  useEffect(() => {
    if (watchers++ === 0) {
      document.addEventListener("visibilitychange", follow);
      follow();
    }
    return () => {
      if (--watchers > 0) return;
      document.removeEventListener("visibilitychange", follow);
      shut();
    };
  }, []);
}

const places: [string, string][] = [
  ["/slap", "Instance trees"],
  ["/slap/computers", "Computers"],
];

/** SlapView is a view of the master: it follows what happens there, and says where else one can go. */
export function SlapView<T>(props: { title: string; here?: string; asked?: Asked<T>; actions?: ComponentChildren; children?: ComponentChildren }) {
  useChanges();
  return (
    <View
      title={props.title}
      asked={props.asked}
      actions={
        <div class="actions">
          <nav class="sub" aria-label="SlapOS">
            {places.map(([to, name]) => (
              <a href={to} aria-current={props.here === to ? "page" : undefined}>
                {name}
              </a>
            ))}
            {mayAct() && (
              <a href="/slap/request" aria-current={props.here === "/slap/request" ? "page" : undefined}>
                Request
              </a>
            )}
          </nav>
          {props.actions}
        </div>
      }
    >
      {props.children}
    </View>
  );
}

const looks: Record<string, string> = { started: "ready", available: "ready", stopped: "held", destroyed: "discarding", "no place": "failed", error: "failed", building: "creating" };

export const Is = (props: { it: string }) => <span class={"state " + (looks[props.it] || "creating")}>{props.it}</span>;

/** Wanted is the state that is wanted of an instance, and where it has no place that. */
export const Wanted = ({ i }: { i: SlapInstance }) => <Is it={i.reason ? "no place" : i.state} />;

/** Reported is what a node said last. */
export function Reported({ s }: { s: SlapStatus | null }) {
  if (!s) return <span class="muted">nothing yet</span>;
  return (
    <>
      {s.error ? <Is it="error" /> : s.state ? <Is it={s.state} /> : "seen"} <At time={s.error || s.state ? s.since : s.at} />
    </>
  );
}

/** Message is what a node said beside a state. */
export const Message = ({ s }: { s: SlapStatus | null }) => (s?.message ? <p class={s.error ? "bad" : ""}>{s.message}</p> : null);

/** Software is the URL of a release, as short as it is still known by. */
export const Software = ({ url }: { url: string }) => <span title={url}>{short(url)}</span>;

export function short(url: string): string {
  const parts = url.replace(/\/software\.cfg$/, "").split("/");
  return parts.slice(-2).join("/") || url;
}

export const instancePath = (id: string) => "/slap/instances/" + encodeURIComponent(id);
export const computerPath = (name: string) => "/slap/computers/" + encodeURIComponent(name);

/** Place is where an instance is. */
export const Place = ({ i }: { i: SlapInstance }) =>
  i.computer ? (
    <>
      <a href={computerPath(i.computer)}>{i.computer}</a> {i.partition}
    </>
  ) : null;
