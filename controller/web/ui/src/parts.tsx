// Parts that several views have.
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Asked } from "./live";
import { ago, clock, exact } from "./words";
import type { Event } from "./types";

/** View is the whole of a view: it has the heading, which gets the focus when the view is gone to, and says what went wrong. */
export function View<T>(props: { title: string; asked?: Asked<T>; actions?: ComponentChildren; children?: ComponentChildren }) {
  const head = useRef<HTMLHeadingElement>(null);
  // At once: an effect comes after what is drawn is seen, and would take the keys away from a field that is written in already.
  useLayoutEffect(() => {
    document.title = props.title + " · hostler";
    if (moved) head.current?.focus({ preventScroll: false });
    moved = true;
  }, [props.title]);
  const problem = props.asked?.problem;
  return (
    <main id="main">
      <div class="head">
        <h1 ref={head} tabIndex={-1}>
          {props.title}
        </h1>
        {props.actions}
      </div>
      {problem && problem.status !== 401 && problem.status !== 0 && (
        <p class="problem" role="alert">
          {problem.message} {problem.hint}
        </p>
      )}
      {props.asked && !props.asked.data && !problem ? <p class="muted">Asking …</p> : props.children}
    </main>
  );
}

let moved = false; // the first view leaves the focus where the browser has it

export const State = (props: { is: string }) => <span class={"state " + props.is}>{props.is}</span>;

export const At = (props: { time: string }) => (
  <time dateTime={props.time} title={exact(props.time)}>
    {ago(props.time)}
  </time>
);

export const path = (name: string) => "/instances/" + encodeURIComponent(name);

export const Instance = (props: { name: string }) => <a href={path(props.name)}>{props.name}</a>;

/** A Column is what it is called, with the class of its cells where they have one; "" is one of buttons. */
export type Column = string | [name: ComponentChildren, of: string];

/** Table is a table that can be moved sideways by keyboard where it is too wide. */
export function Table(props: { label: string; columns: Column[]; children: ComponentChildren; class?: string }) {
  return (
    <div class={"table " + (props.class || "")} role="region" aria-label={props.label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {props.columns.map((c) => {
              const [name, of] = typeof c === "string" ? [c, undefined] : c;
              return name === "" ? <td /> : <th scope="col" class={of}>{name}</th>;
            })}
          </tr>
        </thead>
        <tbody>{props.children}</tbody>
      </table>
    </div>
  );
}

/** Journal is a list of events. */
export function Journal(props: { events: Event[]; of?: string; label: string }) {
  return (
    <ol class="journal" aria-label={props.label}>
      {props.events.map((e) => (
        <li key={e.id}>
          <time dateTime={e.time} title={exact(e.time)}>
            {clock(e.time)}
          </time>
          <span class={"kind " + e.kind}>{e.kind}</span>
          <span class="what">
            {e.instance && e.instance !== props.of ? <Instance name={e.instance} /> : !e.instance && e.source}
            {e.owner && <span class="muted"> {e.owner}</span>}
            {e.kind === "directive" && (
              <b>
                {" "}
                {e.data?.do} {e.data?.count}
              </b>
            )}
            {e.text && <span> {e.text}</span>}
            {e.data?.waited && <span class="muted"> waited {e.data.waited}</span>}
          </span>
        </li>
      ))}
    </ol>
  );
}

/** Fact is a line of what is known of a thing, in a dl. */
export const Fact = (props: { name: string; children: ComponentChildren }) => (
  <div>
    <dt>{props.name}</dt>
    <dd>{props.children}</dd>
  </div>
);
