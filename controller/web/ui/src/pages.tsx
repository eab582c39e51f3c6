// Lists that come in pages.
import { useState } from "preact/hooks";

/** usePages is where one is in a list that comes in pages; it begins anew with another list. */
export function usePages(of: string) {
  const [at, set] = useState<{ of: string; keys: string[] }>({ of, keys: [] });
  const keys = at.of === of ? at.keys : [];
  return {
    after: keys[keys.length - 1],
    before: keys.length,
    on: (to: "first" | "back" | "on", next?: string) => set({ of, keys: to === "first" ? [] : to === "back" ? keys.slice(0, -1) : [...keys, next || ""] }),
  };
}

/** Pages moves through a list that comes in pages. */
export function Pages(props: { before: number; next?: string; on: (to: "first" | "back" | "on") => void; shown: number; what: string }) {
  if (!props.before && !props.next) return null;
  return (
    <nav class="pages" aria-label={"Pages of " + props.what}>
      <button type="button" disabled={!props.before} onClick={() => props.on("first")}>
        First
      </button>
      <button type="button" disabled={!props.before} onClick={() => props.on("back")}>
        Back
      </button>
      <span aria-live="polite">
        Page {props.before + 1}, {props.shown} {props.what}
      </span>
      <button type="button" disabled={!props.next} onClick={() => props.on("on")}>
        Next
      </button>
    </nav>
  );
}
